"""What comes as an upload → the films in it: lone files, the files of a folder, ZIP archives, studies.

Nothing is written to disk, and a ZIP stays as it came: a film in it is inflated when it is asked for.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from chexmodel import dicom_header
from chexmodel.archives import is_junk, members
from chexmodel.dicom import no_picture
from chexmodel.dicom_header import Peek
from chexmodel.errors import ImageError
from chexmodel.filetype import ZIP, file_type
from chexmodel.film import MAX_BYTES, FileType, View, as_image_error, check_bytes
from chexmodel.language import tr
from chexmodel.quality import PROJECTION
from chexmodel.view_tables import place, views_in

MAX_FILMS: Final = 200
"""Most films that are taken at once."""
MAX_UPLOAD: Final = 2**30
"""Most bytes of an upload as it comes; the server's own limit, in its configuration, is one of each file."""
MAX_TOTAL: Final = 4 * 2**30
"""Most bytes of files that are looked at in one upload, inflated; one at a time is."""
MAX_NESTED: Final = 200 * 2**20
"""Most bytes of archives inside of archives, which are held inflated; deeper ones are not opened."""
MAX_SECONDS: Final = 4.0
"""Seconds after which no further file of an upload is looked at: an archive can be made to take hours."""
BYTES_A_SECOND: Final = 100 * 2**20
"""For so many bytes that came there is a second more: all are hashed, on a busy machine too."""
_LONGEST_PATH: Final = 1024  # characters; more would fill pages of a report
_START: Final = 4096  # bytes; enough to tell what a file is
_HEAD: Final = 2**20  # bytes; nearly every header ends within, and inflating stops there


@dataclass(frozen=True, eq=False)
class Entry:
    """One film of an upload.

    name: path within the upload, "/" between folders. size: bytes, inflated.
    key: tells films apart: a checksum of the upload and of the place in it; of a lone file its SHA-256.
    view: as a DICOM's header says; else as a CheXpert table in the upload, or CheXpert's file name, does.
    frames: pictures in it, 1 but for a multi-frame DICOM.
    study, series: numbers from 1 by which DICOM films of one upload belong together; None for other files.
    """

    name: str
    size: int
    kind: FileType
    key: str
    view: View | None = None
    frames: int = 1
    study: int | None = None
    series: int | None = None
    modality: str | None = None
    for_processing: bool = False
    _load: Callable[[], bytes] = field(default=bytes, repr=False)

    @property
    def data(self) -> bytes:
        """The film's file; inflated anew at each access if it lies in an archive.

        Raises:
            ImageError: the archive is damaged here.
        """
        return self._load()


class Refusal(NamedTuple):
    """A file of an upload that is no film, and the reason, a sentence."""

    name: str
    reason: str


class Opened(NamedTuple):
    """The films of an upload, in its order, and the files in it that can't be read."""

    films: tuple[Entry, ...]
    refused: tuple[Refusal, ...]


class _File(NamedTuple):
    """A file before it is known what it is; `read` gives its first bytes, all without an argument."""

    name: str
    key: str
    size: int
    read: Callable[..., bytes]


def open_uploads(
    files: Sequence[tuple[str, bytes]],
    *,
    peek: Callable[[bytes], Peek] = dicom_header.peek,
    seconds: float | None = MAX_SECONDS,
) -> Opened:
    """Find the films in what was uploaded: films, the files of a folder, ZIPs with folders.

    Headers are looked at, pictures are not decoded. Of everything that is no film the reason is told; what
    systems and disc writers add is passed over in silence. A table with CheXpert's columns Path and
    Frontal/Lateral gives its films their view. At most `MAX_FILMS` films and `MAX_TOTAL` bytes are taken,
    what is found in `seconds` and what its size adds to them; of an upload above `MAX_UPLOAD` nothing.

    Args:
        files: (name or path, bytes) of each; the bytes are held as long as an entry is.
        peek: looks at a DICOM's header; where files are strangers', in another process (`decoding`).
        seconds: after which no further file is looked at; None for no limit, where nobody waits.
    """
    if (came := sum(len(data) for _, data in files)) > MAX_UPLOAD:
        large = tr("This upload is more than {most} MB: choose it in parts.", most=MAX_UPLOAD // 2**20)
        return Opened((), (Refusal(_shown(files[0][0]), large),))
    films, refused = list[Entry](), list[Refusal]()
    numbers: dict[str, int] = {}
    views: dict[str, View] = {}
    end = None if seconds is None else time.monotonic() + seconds + came / BYTES_A_SECOND
    total = 0
    for file in _files(files, refused):
        try:
            if end is not None and time.monotonic() > end:
                raise ImageError(tr("Looking through this upload took too long: upload it in parts."))
            check_bytes(file.size)
            # Counted whatever it turns out to be: a table, or a DICOM with a long header, is read whole.
            if (total := total + file.size) > MAX_TOTAL:
                raise ImageError(
                    tr(
                        "The files of this upload are more than {most} GB, unpacked: split it.",
                        most=MAX_TOTAL // 2**30,
                    )
                )
            if file.name.lower().endswith(".csv"):
                views |= views_in(file.read())
                continue
            kind = _kind(file)
            if len(films) == MAX_FILMS:
                raise ImageError(
                    tr(
                        "Only the first {most} films of an upload are taken: upload it in parts.",
                        most=MAX_FILMS,
                    )
                )
            entry = _entry(file, kind, numbers, peek)
            films.append(entry)
        except ImageError as error:
            refused.append(Refusal(file.name, str(error)))
    if files and not films and not refused:
        nothing = tr("There is no film in it: choose PNG, JPEG, TIFF or DICOM files, or a ZIP of them.")
        refused.append(Refusal(_shown(files[0][0]), nothing))
    return Opened(tuple(_with_views(films, views)), tuple(refused))


def frontal(entries: Sequence[Entry]) -> Entry | None:
    """Choose the frontal film of a study; None where all are lateral, or there is none.

    PA before AP before unknown; pictures made for reading before raw ones; radiographs before other
    modalities; single pictures before series; else the first.
    """
    order = ("PA", "AP", None)
    candidates = [entry for entry in entries if entry.view != "LATERAL"]
    return min(
        candidates,
        key=lambda entry: (
            entry.for_processing,
            entry.modality is not None and entry.modality not in PROJECTION,
            order.index(entry.view) if entry.view in order else len(order),
            entry.frames > 1,
        ),
        default=None,
    )


def _files(uploads: Sequence[tuple[str, bytes]], refused: list[Refusal]) -> Iterator[_File]:
    """Walk through the uploads and the archives in them; those that can't be opened go to `refused`."""
    nested = 0
    for upload, data in uploads:
        upload = _shown(upload)
        digest = hashlib.sha256(data).hexdigest()
        if not data.startswith(ZIP):
            if len(uploads) == 1 or not is_junk(upload):
                yield _File(upload, digest, len(data), lambda most=None, data=data: data[:most])
            continue
        prefix = "" if len(uploads) == 1 else f"{upload}/"
        for file in _unpacked(upload, data, prefix, digest, refused):
            if not file.name.lower().endswith(".zip"):
                yield file
                continue
            nested += file.size
            try:
                if nested > MAX_NESTED or file.size > MAX_BYTES:
                    raise ImageError(tr("The archives in this archive are too large: choose them instead."))
                inner = file.read()
            except ImageError as error:
                refused.append(Refusal(file.name, str(error)))
                continue
            yield from _unpacked(file.name, inner, f"{file.name}/", file.key, refused)


def _unpacked(name: str, data: bytes, prefix: str, digest: str, refused: list[Refusal]) -> Iterator[_File]:
    try:
        for position, member in enumerate(members(data)):
            key = hashlib.sha256(f"{digest}/{position}".encode()).hexdigest()
            yield _File(prefix + _shown(member.name), key, member.size, member.read)
    except ImageError as error:
        refused.append(Refusal(name, str(error)))


def _shown(name: str) -> str:
    """Return a path without what does not print, at most 1024 characters: names in archives are anybody's.

    Nor with what a page takes for a link or a picture, which the reader's browser would fetch.
    """
    name = "".join(letter for letter in name if letter.isprintable()).replace("](", "] (")
    return name[-_LONGEST_PATH:] or "?"


def _kind(file: _File) -> FileType:
    """Tell what a file is by its first bytes; raise `ImageError` if it is no film."""
    check_bytes(file.size)
    return file_type(file.read(_START))


def _entry(file: _File, kind: FileType, numbers: dict[str, int], peek: Callable[[bytes], Peek]) -> Entry:
    """Look at a film's header; `numbers` counts studies and series by their identifiers.

    Raises:
        ImageError: it is a DICOM that holds no film.
    """
    entry = Entry(file.name, file.size, kind, file.key, _load=file.read)
    if kind != "DICOM":
        return entry
    with as_image_error("DICOM"):
        seen = peek(file.read(_HEAD))
        if not seen.picture and file.size > _HEAD:
            seen = peek(file.read())
    if not seen.picture:
        raise no_picture(seen.kind)
    dicom_header.check_class(seen.sop_class)
    return Entry(
        file.name,
        file.size,
        kind,
        file.key,
        view=seen.view,
        frames=seen.frames,
        study=_number(numbers, "study", seen.study),
        series=_number(numbers, "series", seen.series),
        modality=seen.facts.modality,
        for_processing=seen.facts.for_processing,
        _load=file.read,
    )


def _number(numbers: dict[str, int], level: str, uid: str) -> int | None:
    if not uid:
        return None
    count = sum(known.startswith(level) for known in numbers)
    return numbers.setdefault(f"{level} {uid}", count + 1)


def _with_views(films: Iterable[Entry], views: dict[str, View]) -> Iterator[Entry]:
    for entry in films:
        named: View | None = "LATERAL" if entry.name.lower().rsplit(".", 1)[0].endswith("_lateral") else None
        yield replace(entry, view=entry.view or views.get(place(entry.name)) or named)
