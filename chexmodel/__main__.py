"""Use the reader without a browser: `python -m chexmodel COMMAND`.

A command is one function, below or in a file of its own: tyro makes its options and `--help` from the
signature and the docstring. Commands import what they need themselves, so that `--help` answers at once.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from tyro.extras import SubcommandApp

from chexmodel.command_line import bar, write
from chexmodel.errors import ChexError
from chexmodel.export_command import export
from chexmodel.read_command import read

app = SubcommandApp()
app.command(read)
app.command(export)

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
def schema() -> None:
    """Print the JSON Schema of what `export --json` writes."""
    from chexmodel.report_schema import json_schema

    print(json.dumps(json_schema(), indent=1))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after the program's name; by default the process's.

    Returns:
        What the command returns, 0 for nothing; 2 after an expected error, which is one sentence on stderr;
        130 if interrupted.
        tyro itself exits with 2 on arguments that don't parse.
    """
    try:
        status = app.cli(
            prog="python -m chexmodel", description="Read chest X-rays from the shell.", args=arguments
        )
    except ChexError as error:
        said = str(error).encode(errors="backslashreplace").decode()  # a path may be any bytes
        print(said, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return int(status or 0)


if __name__ == "__main__":
    sys.exit(main())
