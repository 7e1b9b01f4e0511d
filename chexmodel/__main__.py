"""Use the reader without a browser: `python -m chexmodel COMMAND`.

A command is one function below: tyro makes its options and `--help` from the signature and the docstring.
Commands import what they need themselves, so that `--help` answers at once.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from tyro.extras import SubcommandApp

from chexmodel.errors import ChexError, DatasetError

app = SubcommandApp()

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
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise DatasetError(f"{out} can't be written ({error.strerror}): give another --out") from None


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
