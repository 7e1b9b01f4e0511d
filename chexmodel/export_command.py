"""`python -m chexmodel export`: a film's report as files, or what makes a bundle read faster."""

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import tyro

from chexmodel.command_line import SHIPPED, write
from chexmodel.errors import ChexError
from chexmodel.language import Language


def export(
    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE_OR_BUNDLE")],
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
    pdf: Annotated[Path | None, tyro.conf.arg(metavar="FILE.pdf")] = None,
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE.json")] = None,
    csv: Annotated[Path | None, tyro.conf.arg(metavar="FILE.csv")] = None,
    png: Annotated[Path | None, tyro.conf.arg(metavar="FILE.png")] = None,
    sr: Annotated[Path | None, tyro.conf.arg(metavar="FILE.dcm")] = None,
    sc: Annotated[Path | None, tyro.conf.arg(metavar="FILE.dcm")] = None,
    finding: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME")] = (),
    model: Annotated[Path, tyro.conf.arg(metavar="BUNDLE")] = SHIPPED,
    identity: bool = False,
    insist: bool = False,
    language: Language = "en",
    films: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE_OR_DIR")] = (),
    cache: bool = False,
) -> None:
    """Write the report on a film as files; or, of a bundle, the file with which it reads faster.

    Of a film: what the page offers, without a browser. Nothing names the file or the patient without
    --identity. For research and teaching only.

    Of a bundle: model.onnx, with which ONNX Runtime gives its scores and maps some three times as fast as
    PyTorch, and onnx.json, which tells how far the two lie apart; beyond rounding (1e-4) nothing is written.

    Args:
        source: a PNG, JPEG, TIFF or DICOM file, up to 50 MB; or the directory of a bundle.
        out: write every format that the film allows into this directory, as report.pdf and so on.
        pdf: write the report. Default, as for all formats: not written.
        json: write the reading by the schema that `python -m chexmodel schema` prints.
        csv: write a row per observation.
        png: write the film under the heatmap of the first finding of --finding.
        sr: write a DICOM structured report (TID 1500); needs a DICOM and --identity.
        sc: write that heatmap as DICOM Secondary Capture; needs a DICOM and --identity.
        finding: whose heatmaps the report shows. Default: those at or above threshold, or else the one with
            the highest score.
        model: the bundle to read with.
        identity: include the file's name and, of a DICOM, patient and study; without it they are left out.
        insist: export although the check of the input withholds the reading; every format is then marked.
        language: of the texts, "en" or "fr".
        films: X-rays to compare the two engines on, or directories of them. Default: 20 of the program's
            own phantoms, and in use the first 3 films that the check of the input accepts.
        cache: write the two files where the app keeps them, and leave the bundle as it is.
    """
    files: dict[str, Path | None] = {"pdf": pdf, "json": json, "csv": csv, "png": png, "sr": sr, "sc": sc}
    if source.is_dir():
        of_film = out or any(files.values()) or finding or identity or insist
        if of_film or model != SHIPPED or language != "en":
            raise ChexError(
                "--out, the formats, --finding, --model, --identity, --insist and --language are for a film: "
                f"{source} is a directory"
            )
        _export_onnx(source, films, cache=cache)
        return
    if films or cache:
        raise ChexError(f"--films and --cache are for a bundle: {source} is no directory")
    from chexmodel.language import using
    from chexmodel.predictor import Predictor
    from chexmodel.report import Report, called
    from chexmodel.report_dicom import refused
    from chexmodel.report_formats import FORMATS
    from chexmodel.verdicts import Word

    if out is None and not any(files.values()):
        raise ChexError("nothing to write: give --out DIR, or a file for one of the formats, as --pdf FILE")
    predictor = Predictor.from_bundle(model)
    with using(language):
        prediction = predictor.predict(source)
        highest = prediction.frame().sort_values("probability", ascending=False)["observation"].iloc[0]
        report = Report(
            prediction,
            predictor.bundle,
            Word(),
            overlays=finding or called(prediction) or (highest,),
            insisted=insist and prediction.withheld,
            made=datetime.now().astimezone(),
            name=source.name if identity else "",
            source=source.read_bytes() if prediction.audit.format == "DICOM" else None,
        )
        reason = refused(report)
        if out is not None:
            for kind, form in FORMATS.items():
                if files[kind] is None and not (form.dicom and reason):
                    files[kind] = out / f"report{form.suffix}"
        # All are made before any is written: what can't be made leaves no half of an export.
        made = [(file, form.write(report)) for kind, form in FORMATS.items() if (file := files[kind])]
        for file, data in made:
            write(file, data)
    if out is not None and reason:
        print(f"note: {reason}", file=sys.stderr)


def _export_onnx(path: Path, films: Sequence[Path], *, cache: bool) -> None:
    import torch

    from chexmodel import bundle, onnx_export, onnx_file

    torch.set_num_threads(1)  # on busy cores the threads of one reading wait for each other, for seconds
    loaded = bundle.load(path)
    compared = onnx_export.xrays(films) if films else onnx_export.phantoms()
    model, record = onnx_export.make(loaded, compared, source=_of(films), real=bool(films))
    place = onnx_file.cache_directory(record.weights_sha256) if cache else path
    onnx_file.write(place, model, record)
    parity, apart = record.parity, record.parity.distance
    print(f"{place / onnx_file.MODEL}, {len(model) / 2**20:.0f} MB: on {parity.films} {parity.source}")
    print(
        f"it differs from PyTorch by at most {apart.logits:.1e} in a logit and {apart.cells:.1e} in a map's"
    )
    print(f"cell, in log-odds; {apart.maps:.1e} of the map's largest.")


def _of(films: Sequence[Path]) -> str:
    return f"films of {', '.join(path.name for path in films)}" if films else "drawn phantoms"
