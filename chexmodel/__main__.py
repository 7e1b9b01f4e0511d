"""Use the reader without a browser: `python -m chexmodel COMMAND`.

A command is one function, below or in a file of its own: tyro makes its options and `--help` from the
signature and the docstring. Commands import what they need themselves, so that `--help` answers at once.
"""

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import tyro
from tyro.extras import SubcommandApp

from chexmodel.command_line import SHIPPED, bar, write
from chexmodel.errors import ChexError
from chexmodel.language import Language
from chexmodel.read_command import read

app = SubcommandApp()
app.command(read)

_Data = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CSV_OR_DIR")]
_Out = Annotated[Path | None, tyro.conf.arg(metavar="FILE.json")]


@app.command
def statistics(
    data: _Data,
    out: _Out = None,
    audit: bool = False,
    images: bool = True,
    csv: Annotated[Path | None, tyro.conf.arg(metavar="FILE.csv")] = None,
) -> int:
    """Count the films, patients and labels of a CheXpert table, or audit it.

    Prints, for each observation, the number of films on which it is positive, negative, uncertain and
    blank (not mentioned). With --audit prints instead how many problems of each kind the tables and their
    films have: patients in several splits, contradictions, films that are missing, damaged or there twice.

    Exit status: 0; with --audit 1 if a problem of severity "error" was found; 2 if nothing could be done.

    Args:
        data: a CheXpert CSV (also .csv.gz), or the directory that holds train.csv.
        out: also write all counts as JSON, in films, ages in bins of 10 years, with the table's name and
            SHA-256; no patient and no directory is named. Without it nothing is written.
        audit: look for problems; in a directory in train.csv and valid.csv.
        images: with --audit, also decode every film, some 3 ms each and core at 320 px.
        csv: with --audit, also write a row per problem: kind, severity, file, row, Path, patient, what it is
            and what to do. Default: not written.
    """
    if audit and out is not None:
        raise ChexError("--audit finds problems, --out writes counts: give one of them")
    if csv is not None and not audit:
        raise ChexError("--csv writes what --audit finds: give both")
    if audit:
        return _audit(data, csv, films=images)
    _count(data, out)
    return 0


def _count(data: Path, out: Path | None) -> None:
    from chexmodel.statistics import describe, provenance_of
    from chexmodel.table import csv_files, read_table

    table, _ = csv_files(data)
    command = f"python -m chexmodel statistics {table.name}"
    provenance = provenance_of(table, command=command)
    result = describe(read_table(table), provenance=provenance, policies=out is not None)
    print(result.states().to_string(formatters=["{:,}".format] * 4))
    print(f"{result.films:,} films of {result.patients:,} patients in {result.studies:,} studies")
    if out is not None:
        write(out, (result.model_dump_json(indent=1) + "\n").encode())


def _audit(data: Path, csv: Path | None, *, films: bool) -> int:
    from chexmodel.inspection import ALL_KINDS, inspect

    with bar(shown=films) as progress:
        result = inspect(data, films=films, progress=progress)
    width = max(map(len, result.counts))
    for kind, number in result.counts.items():
        print(f"{kind:{width}}  {ALL_KINDS[kind].severity:7}  {number:>9,}")
    print(f"{len(result.found):,} problems in {result.rows:,} rows of {' and '.join(result.files)}")
    if result.unchecked:
        print(f"note: the films were not looked at: {result.unchecked}", file=sys.stderr)
    if csv is not None:
        write(csv, result.found.to_csv(index=False).encode())
    return 1 if result.errors else 0


@app.command
def protocol(data: _Data, out: _Out = None, bootstrap: int = 1000, seed: int = 0) -> None:
    """Score answers that look at no film on a label table, the reference project's way and ours.

    Prints the F1, precision, recall and accuracy of a constant “yes”, a constant “no” and the prevalence, and
    how many patients a random split of the images shares. No film is needed.

    Args:
        data: a CheXpert CSV (also .csv.gz), or the directory that holds train.csv.
        out: also write the result as JSON, with the table's name and SHA-256; no patient and no directory is
            named. Without it nothing is written.
        bootstrap: resamples of patients for the intervals.
        seed: of the splits and of the resampling.
    """
    from chexmodel.protocol import table_protocols
    from chexmodel.protocol_tables import printed
    from chexmodel.statistics import provenance_of
    from chexmodel.table import csv_files, read_table

    csv, _ = csv_files(data)
    command = f"python -m chexmodel protocol {csv.name}"
    command += f" --bootstrap {bootstrap}" * (bootstrap != 1000) + f" --seed {seed}" * (seed != 0)
    provenance = provenance_of(csv, command=command)
    result = table_protocols(read_table(csv), provenance=provenance, bootstrap=bootstrap, seed=seed)
    print(printed(result))
    if out is not None:
        write(out, (result.model_dump_json(indent=1) + "\n").encode())


@app.command
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
            own phantoms, and in use the first 3 films.
        cache: write the two files where the app keeps them, and leave the bundle as it is.
    """
    if source.is_dir():
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

    files: dict[str, Path | None] = {"pdf": pdf, "json": json, "csv": csv, "png": png, "sr": sr, "sc": sc}
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
        for kind, form in FORMATS.items():
            if (file := files[kind]) is not None:
                write(file, form.write(report))
    if out is not None and reason:
        print(f"note: {reason}", file=sys.stderr)


def _export_onnx(path: Path, films: Sequence[Path], *, cache: bool) -> None:
    import torch

    from chexmodel import bundle, onnx_file

    torch.set_num_threads(1)  # on busy cores the threads of one reading wait for each other, for seconds
    loaded = bundle.load(path)
    compared = onnx_file.xrays(films) if films else onnx_file.phantoms()
    model, record = onnx_file.make(loaded, compared, source=_of(films), real=bool(films))
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


@app.command
def schema() -> None:
    """Print the JSON Schema of what `export --json` writes."""
    from chexmodel.report_schema import json_schema

    print(json.dumps(json_schema(), indent=1))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after the program's name; by default the process's.

    Returns:
        What the command returns, 0 for nothing; 2 after an expected error, which is one sentence on stderr.
        tyro itself exits with 2 on arguments that don't parse.
    """
    try:
        status = app.cli(
            prog="python -m chexmodel", description="Read chest X-rays from the shell.", args=arguments
        )
    except ChexError as error:
        print(error, file=sys.stderr)
        return 2
    return int(status or 0)


if __name__ == "__main__":
    sys.exit(main())
