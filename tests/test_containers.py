"""Uploads: lone films, folders, ZIPs with whatever lies in them, studies; limits before inflating."""

import hashlib
import io
import itertools
import warnings
import zipfile
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from dicom_files import RAMP, dicom
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import EncapsulatedPDFStorage, generate_uid

from chexmodel import archives, containers, film, phantom, view_tables
from chexmodel.containers import Entry, Opened, frontal, open_uploads
from chexmodel.errors import ImageError
from chexmodel.images import read

PNG = phantom.png(size=64)


def opened_alone(name: str, data: bytes) -> Opened:
    return open_uploads([(name, data)])


def packed(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", compression) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def names(opened: Opened) -> list[str]:
    return [entry.name for entry in opened.films]


def reasons(opened: Opened) -> dict[str, str]:
    return dict(opened.refused)


def test_a_lone_film_is_itself() -> None:
    for data, kind in ((PNG, "PNG"), (dicom(ViewPosition="PA"), "DICOM")):
        (entry,), refused = opened_alone("film", data)
        assert (entry.kind, entry.size, entry.frames, refused) == (kind, len(data), 1, ())
        assert entry.data == data
        assert entry.key == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_of_folders_gives_its_films_without_the_junk(compression: int) -> None:
    files = {
        "study/": b"",
        "study/IM000001": dicom(ViewPosition="PA"),  # no extension
        "study\\IM000002": dicom(ViewPosition="LL"),
        "study/film.png": PNG,
        "DICOMDIR": dicom(PixelData=None),
        "__MACOSX/study/._film.png": b"\0\5\x16\7",
        "study/.DS_Store": b"Bud1",
        "study/Thumbs.db": b"\xd0\xcf",
        "readme.txt": b"Open the viewer.",
        "empty.dcm": b"",
        "report": dicom(PixelData=None, SOPClassUID=EncapsulatedPDFStorage),
    }
    opened = opened_alone("disc.zip", packed(files, compression))
    assert names(opened) == ["study/IM000001", "study/IM000002", "study/film.png"]
    assert [entry.data for entry in opened.films] == list(files.values())[1:4]
    assert [entry.view for entry in opened.films] == ["PA", "LATERAL", None]
    assert set(reasons(opened)) == {"readme.txt", "empty.dcm", "report"}
    assert "Encapsulated PDF" in reasons(opened)["report"]
    assert "empty" in reasons(opened)["empty.dcm"]
    assert len({entry.key for entry in opened.films}) == 3


def test_a_folder_is_a_list_of_files_and_archives_open_one_level_deep() -> None:
    inner = packed({"a.png": PNG, "deeper.zip": packed({"b.png": PNG})})
    outer = packed({"inner.zip": inner, "c": dicom()})
    opened = open_uploads([("folder/d.png", PNG), ("folder/.hidden", b"x"), ("out.zip", outer)])
    assert names(opened) == ["folder/d.png", "out.zip/inner.zip/a.png", "out.zip/c"]
    assert list(reasons(opened)) == ["out.zip/inner.zip/deeper.zip"]
    assert opened.films[1].data == PNG


def test_films_of_a_study_are_numbered_and_no_identifier_is_kept() -> None:
    studies = [generate_uid(), generate_uid()]
    series = [generate_uid() for _ in range(3)]
    files = [
        (f"IM{k}", dicom(StudyInstanceUID=studies[k // 2], SeriesInstanceUID=series[k])) for k in range(3)
    ]
    opened = open_uploads([*files, ("film.png", PNG)])
    assert [(entry.study, entry.series) for entry in opened.films] == [(1, 1), (1, 2), (2, 3), (None, None)]
    assert not any(uid in repr(opened.films) for uid in (*studies, *series))


@pytest.mark.parametrize(
    ("elements", "chosen"),
    [
        ([{"ViewPosition": "LL"}, {"ViewPosition": "AP"}, {"ViewPosition": "PA"}], 2),
        ([{"ViewPosition": ""}, {"ViewPosition": "AP"}], 1),
        ([{"ViewPosition": "PA", "PresentationIntentType": "FOR PROCESSING"}, {"ViewPosition": "PA"}], 1),
        ([{"Modality": "CT"}, {"ViewPosition": "AP"}], 1),
        ([{"NumberOfFrames": 3}, {}], 1),
        ([{"ViewPosition": "PA"}, {"ViewPosition": "PA"}], 0),
        ([{"ViewPosition": "LL"}, {"ViewPosition": "RL"}], None),
        ([], None),
    ],
)
def test_the_frontal_film_of_a_study_is_chosen(elements: list[dict[str, Any]], chosen: int | None) -> None:
    films = open_uploads([(str(k), dicom(**some)) for k, some in enumerate(elements)]).films
    assert len(films) == len(elements)
    assert frontal(films) is (None if chosen is None else films[chosen])


def test_views_come_from_a_table_and_from_chexperts_names() -> None:
    table = (
        "Path,Sex,Age,Frontal/Lateral,AP/PA\n"
        "CheXpert-v1.0-small/train/patient1/study1/view1_frontal.jpg,Male,50,Frontal,AP\n"
        "CheXpert-v1.0-small/train/patient1/study1/view2_frontal.jpg,Male,50,Frontal,\n"
        "CheXpert-v1.0-small/train/patient1/study1/other.jpg,Male,50,Lateral,\n"
    )
    place = "small/train/patient1/study1"
    files = {
        f"{place}/view1_frontal.jpg": PNG,
        f"{place}/view2_frontal.jpg": PNG,
        f"{place}/view3_lateral.jpg": PNG,
        f"{place}/other.jpg": PNG,
        "small/train.csv": table.encode(),
        "scores.csv": b"a,b\n1,2\n",
    }
    opened = opened_alone("small.zip", packed(files))
    assert [entry.view for entry in opened.films] == ["AP", None, "LATERAL", "LATERAL"]
    assert list(reasons(opened)) == ["scores.csv"]


def test_only_so_many_films_and_bytes_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    many = packed({f"{k:03}.png": PNG for k in range(203)})
    opened = opened_alone("many.zip", many)
    assert len(opened.films) == 200
    assert list(reasons(opened)) == ["200.png", "201.png", "202.png"]
    assert "first 200" in reasons(opened)["200.png"]
    monkeypatch.setattr(containers, "MAX_TOTAL", int(2.5 * len(PNG)))
    opened = opened_alone("many.zip", packed({f"{k}.png": PNG for k in range(4)}))
    assert names(opened) == ["0.png", "1.png"]
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    assert "lists 4 files" in reasons(opened_alone("x", packed({str(k): PNG for k in range(4)})))["x"]
    monkeypatch.setattr(containers, "MAX_NESTED", 10)
    opened = opened_alone("out.zip", packed({"in.zip": packed({"a.png": PNG})}))
    assert "too large" in reasons(opened)["in.zip"]


def test_a_bomb_is_refused_before_anything_is_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = packed({"bomb.png": bytes(film.MAX_BYTES + 1), "nested.zip": bytes(film.MAX_BYTES + 1)})
    assert len(bomb) < 2**20

    def never(*_: object, **__: object) -> None:
        raise AssertionError("inflated")

    monkeypatch.setattr(zipfile.ZipFile, "open", never)
    opened = opened_alone("bomb.zip", bomb)
    assert not opened.films
    assert "the limit is 50 MB" in reasons(opened)["bomb.png"]
    assert "choose them instead" in reasons(opened)["nested.zip"]


def test_a_table_is_held_to_the_limit_of_a_file() -> None:
    table = b"Path,Frontal/Lateral\n".ljust(film.MAX_BYTES + 1, b"\n")
    for upload in ([("t.csv", table)], [("film.png", PNG), ("t.csv", table)]):
        assert "the limit is 50 MB" in reasons(open_uploads(upload))["t.csv"]


def test_everything_that_is_looked_at_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of tables, or of DICOM files without a picture, in a small archive: each is read whole."""
    monkeypatch.setattr(containers, "MAX_TOTAL", 3 * 2**20)
    monkeypatch.setattr(containers, "_HEAD", 300)
    read_whole = list[int]()
    inflate = archives.Member.read

    def counted(self: archives.Member, most: int | None = None) -> bytes:
        read_whole.append(self.size if most is None else 0)
        return inflate(self, most)

    monkeypatch.setattr(archives.Member, "read", counted)
    table = b"Path,Frontal/Lateral\n".ljust(2**20, b"\n")
    bare = dicom(PixelData=None).ljust(2**20, b"\0")
    for large, suffix in ((table, ".csv"), (bare, ".dcm")):
        read_whole.clear()
        opened = opened_alone("x.zip", packed({f"{k}{suffix}": large for k in range(8)}))
        assert sum(read_whole) <= 3 * 2**20
        assert "split it" in reasons(opened)[f"7{suffix}"]


def test_an_upload_above_the_limit_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "MAX_UPLOAD", 2 * len(PNG))
    assert len(open_uploads([("a.png", PNG), ("b.png", PNG)]).films) == 2
    monkeypatch.setattr(containers, "_files", None)
    opened = open_uploads([("a.png", PNG), ("b.png", PNG), ("c.png", b"1")])
    assert opened == Opened((), (("a.png", "This upload is more than 0 MB: choose it in parts."),))


@pytest.mark.parametrize("declared", [5000, 2 * 2**20])
def test_a_size_that_lies_inflates_no_more_than_it_declares(declared: int) -> None:
    large = PNG + bytes(5 * 2**20)
    honest = packed({"film.png": large})
    lying = honest.replace(len(large).to_bytes(4, "little"), declared.to_bytes(4, "little"))
    opened = opened_alone("lying.zip", lying)
    if declared < 2**20:  # the first look sees it
        assert "damaged here" in reasons(opened)["film.png"]
        return
    assert opened.films[0].size == declared
    with pytest.raises(ImageError, match="archive is damaged here"):
        _ = opened.films[0].data


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_could_inflate_without_a_bound_is_not_inflated(
    compression: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = packed({"film.png": PNG + bytes(5 * 2**20)}, compression)
    assert len(bomb) < 20_000

    def never(*_: object, **__: object) -> None:
        raise AssertionError("inflated")

    monkeypatch.setattr(zipfile.ZipFile, "open", never)
    assert "pack it again as a plain ZIP" in reasons(opened_alone("bomb.zip", bomb))["film.png"]


def test_looking_through_an_upload_takes_so_long_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "time", SimpleNamespace(monotonic=itertools.count().__next__))
    archive = packed({f"{k}.png": PNG for k in range(5)})
    opened = open_uploads([("x.zip", archive)], seconds=3)
    assert names(opened) == ["0.png", "1.png", "2.png"]
    assert "took too long" in reasons(opened)["4.png"]
    assert opened_alone("x.zip", archive).refused
    assert not open_uploads([("x.zip", archive)], seconds=None).refused


def encrypted() -> bytes:
    """The flag of encryption, as in the two headers of the one file."""
    data = bytearray(packed({"film.png": PNG}))
    data[6] |= 1
    data[data.rindex(b"PK\1\2") + 8] |= 1
    return bytes(data)


def other_compression() -> bytes:
    data = bytearray(packed({"film.png": PNG}))
    data[8] = 9  # Deflate64
    data[data.rindex(b"PK\1\2") + 10] = 9
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "where", "message"),
    [
        (encrypted(), "film.png", "encrypted"),
        (other_compression(), "film.png", "compressed in a way"),
        (packed({"film.png": PNG})[:-40], "x", "damaged or incomplete"),
        (packed({"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<w/>"}), "x", "Office"),
        (b"Dear colleague", "x", "no PNG, JPEG, TIFF or DICOM"),
        (b"", "x", "empty"),
    ],
)
def test_what_can_not_be_opened_is_refused_with_its_reason(data: bytes, where: str, message: str) -> None:
    opened = opened_alone("x", data)
    assert not opened.films
    assert list(reasons(opened)) == [where]
    assert message in reasons(opened)[where]


def test_a_header_longer_than_the_first_look_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "_HEAD", 300)
    (entry,), _ = opened_alone("x.zip", packed({"film": dicom(ViewPosition="PA")}))
    assert entry.view == "PA"
    np.testing.assert_array_equal(read(entry.data).pixels, read(dicom()).pixels)


def test_only_the_beginning_of_a_film_in_an_archive_is_inflated_to_list_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    inflate = archives.Member.read
    monkeypatch.setattr(
        archives.Member, "read", lambda self, most=None: asked.append(most) or inflate(self, most)
    )
    (entry,), _ = opened_alone("x.zip", packed({"film": dicom()}))
    assert asked == [4096, 2**20]
    assert entry.data == entry.data
    assert asked == [4096, 2**20, None, None]


def test_names_are_shown_without_what_does_not_print() -> None:
    opened = opened_alone("x.zip", packed({"a\x1b[31m\n.png": PNG, "../../etc/film.png": PNG}))
    assert names(opened) == ["a[31m.png", "../../etc/film.png"]
    (entry,) = opened_alone("x.zip", packed({"a" * 60_000 + ".png": PNG})).films
    assert len(entry.name) <= 1024
    assert entry.name.endswith("a.png")


def test_names_fetch_nothing_where_a_page_shows_them() -> None:
    opened = opened_alone(
        "x.zip", packed({"![x](http://a.example/p).png": PNG, "![y](//b.example).txt": b"no"})
    )
    assert names(opened) == ["![x] (http://a.example/p).png"]
    assert list(reasons(opened)) == ["![y] (//b.example).txt"]


def test_every_upload_gives_films_or_a_reason() -> None:
    (entry,), _ = opened_alone(".hidden.png", PNG)
    assert entry.name == ".hidden.png"
    assert "no picture" in reasons(opened_alone("DICOMDIR", dicom(PixelData=None)))["DICOMDIR"]
    table = b"Path,Frontal/Lateral\nx/y/z.jpg,Lateral\n"
    for data in (packed({"folder/": b"", ".DS_Store": b"Bud1"}), packed({"t.csv": table})):
        assert "no film in it" in reasons(opened_alone("x.zip", data))["x.zip"]
    assert open_uploads([]) == Opened((), ())


def test_a_table_of_too_many_rows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """58 kB of archive held a million: to look through them took seconds."""
    monkeypatch.setattr(view_tables, "MAX_ROWS", 3)
    row = b"x/y/z.jpg,Lateral\n"
    assert len(view_tables.views_in(b"Path,Frontal/Lateral\n" + 3 * row)) == 1
    opened = open_uploads([("a.png", PNG), ("views.csv", b"Path,Frontal/Lateral\n" + 4 * row)])
    assert [entry.name for entry in opened.films] == ["a.png"]
    assert "rows" in opened.refused[0].reason


def test_a_table_whose_quote_never_ends_stops_nothing() -> None:
    table = b'Path,Frontal/Lateral\n"' + b"x" * 200_000
    opened = opened_alone("x.zip", packed({"t.csv": table, "film.png": PNG}))
    assert names(opened) == ["film.png"]
    assert "save it anew as CSV" in reasons(opened)["t.csv"]


def test_an_entry_shows_no_bytes() -> None:
    entry: Entry = opened_alone("x.png", PNG).films[0]
    assert len(repr(entry)) < 400


SAMPLES = [packed({"a.png": PNG, "b": dicom(RAMP[:40, :40])}), packed({"in.zip": packed({"a.png": PNG})})]


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_archives_give_films_or_reasons(data: st.DataObject) -> None:
    damaged = bytearray(data.draw(st.sampled_from(SAMPLES)))
    places = st.integers(0, len(damaged) - 1) | st.integers(max(0, len(damaged) - 200), len(damaged) - 1)
    for at, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)):
        damaged[at] = value
    for entry in opened_alone("x.zip", bytes(damaged[: data.draw(st.integers(1, len(damaged)))])).films:
        try:
            assert len(entry.data) <= entry.size
        except ImageError:
            continue
