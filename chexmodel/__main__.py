"""Use the reader without a browser: `python -m chexmodel COMMAND`.

A command is one function below: tyro makes its options and `--help` from the signature and the docstring.
Commands import what they need themselves, so that `--help` answers at once.
"""

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import tyro
from tyro.extras import SubcommandApp

from chexmodel.errors import ChexError

app = SubcommandApp()

SHIPPED: Final = Path(__file__).resolve().parent.parent / "assets" / "models" / "demo"

_Data = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CSV_OR_DIR")]
_Out = Annotated[Path | None, tyro.conf.arg(metavar="FILE.json")]


@app.command
def statistics(data: _Data, out: _Out = None) -> None:
    """Count the films, patients and labels of a CheXpert table.

    Prints, for each observation, the number of films on which it is positive, negative, uncertain and
    blank (not mentioned).

    Args:
        data: a CheXpert CSV (also .csv.gz), or the directory that holds train.csv.
        out: also write all counts as JSON, in films, ages in bins of 10 years, with the table's name and
            SHA-256; no patient and no directory is named. Without it nothing is written.
    """
    from chexmodel.statistics import describe, provenance_of
    from chexmodel.table import csv_files, read_table

    csv, _ = csv_files(data)
    command = f"python -m chexmodel statistics {csv.name}"
    result = describe(read_table(csv), provenance=provenance_of(csv, command=command))
    print(result.states().to_string(formatters=["{:,}".format] * 4))
    print(f"{result.films:,} films of {result.patients:,} patients in {result.studies:,} studies")
    if out is not None:
        _write(out, (result.model_dump_json(indent=1) + "\n").encode())


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
        _write(out, (result.model_dump_json(indent=1) + "\n").encode())


@app.command
def read(
    image: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")],
    model: Annotated[Path, tyro.conf.arg(metavar="BUNDLE")] = SHIPPED,
    csv: Annotated[Path | None, tyro.conf.arg(metavar="FILE.csv")] = None,
    overlay: Annotated[Path | None, tyro.conf.arg(metavar="FILE.png")] = None,
    finding: str | None = None,
    alpha: float = 0.55,
) -> None:
    """Read one film: a score per finding against its threshold. For research and teaching only.

    Args:
        image: a PNG, JPEG, TIFF or DICOM file, up to 50 MB.
        model: the bundle to read with.
        csv: also write the findings as a table. Default: not written.
        overlay: also write the film with the heatmap of one finding, at its size. Default: not written.
        finding: whose heatmap. Default: the finding with the highest score.
        alpha: opacity of the strongest evidence, 0 to 1.
    """
    from chexmodel.predictor import Predictor

    prediction = Predictor.from_bundle(model).predict(image)
    table = prediction.frame()
    ranked = table.sort_values("probability", ascending=False, na_position="last")
    print(ranked.to_string(index=False, float_format="{:.3f}".format, na_rep="—"))
    for remark in (*prediction.audit.actions, *prediction.warnings):
        print(f"note: {remark}", file=sys.stderr)
    if csv is not None:
        _write(csv, table.to_csv(index=False).encode())
    if overlay is not None:
        picture = io.BytesIO()
        prediction.overlay(finding or ranked["observation"].iloc[0], alpha).save(picture, format="PNG")
        _write(overlay, picture.getvalue())


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise ChexError(f"{path} can't be written ({error.strerror}): give another file") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after the program's name; by default the process's.

    Returns:
        0, or 2 after an expected error, which is one sentence on stderr. tyro itself exits with 2 on
        arguments that don't parse.
    """
    try:
        app.cli(prog="python -m chexmodel", description="Read chest X-rays from the shell.", args=arguments)
    except ChexError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
