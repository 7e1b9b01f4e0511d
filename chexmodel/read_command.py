"""`python -m chexmodel read`: one film as a table, or very many into a folder."""

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import tyro

from chexmodel.command_line import SHIPPED, bar, write
from chexmodel.errors import ChexError
from chexmodel.machine import cores

_ALPHA: Final = 0.55


def read(
    paths: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PATH…")],
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
    model: Annotated[Path, tyro.conf.arg(metavar="BUNDLE")] = SHIPPED,
    csv: Annotated[Path | None, tyro.conf.arg(metavar="FILE.csv")] = None,
    overlay: Annotated[Path | None, tyro.conf.arg(metavar="FILE.png")] = None,
    finding: str | None = None,
    alpha: float = _ALPHA,
    insist: bool = False,
    format: Literal["both", "parquet", "csv"] = "both",  # noqa: A002
    overlays: Annotated[tuple[str, ...] | None, tyro.conf.arg(metavar="FINDING…")] = None,
    workers: Annotated[int | None, tyro.conf.arg(metavar="N")] = None,
    ray: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = None,
    restart: bool = False,
) -> int:
    """Read films: a score per finding against its threshold. For research and teaching only.

    One FILE is shown as a table; if the check of the input rejects it, the reason is shown and no scores, but
    for --insist. With --out any number is read into DIR/scores.parquet and DIR/scores.csv, a row per film:
    path, status (read, withheld, not read), reason, view, frames, gate, warnings, SHA-256, model, and a
    probability and a decision per observation. A film that can't be read never stops the others. Killed at
    any moment, the same command goes on with what is missing, and reads anew what has changed.

    Exit status: 0; with --out 1 if some films could not be read; 2 if nothing could be done; 130 if
    interrupted.

    Args:
        paths: PNG, JPEG, TIFF or DICOM files, up to 50 MB. With --out also ZIPs of up to 200 of them, folders
            with all that is in them, patterns in quotes ("films/**/*.dcm"), and @LIST: a text file with a
            path a line.
        out: read all PATHs into this folder; what it holds of a run is never read as films.
        model: the bundle to read with.
        csv: of one FILE: also write the findings as a table. Default: not written.
        overlay: of one FILE: also write the film with the heatmap of one finding, at its size. Default: not
            written.
        finding: whose heatmap. Default: the finding with the highest score.
        alpha: opacity of the strongest evidence, 0 to 1.
        insist: read the one FILE all the same.
        format: with --out: which tables to write.
        overlays: with --out: also write DIR/overlays, at most 1,024 px a side, of these findings; without a
            name of those at or above threshold. Default: not written.
        workers: with --out: films read at once. Default: one per core, with --ray per core of the cluster.
        ray: with --out: read on the Ray cluster at this address, "local" starts one on this machine. Films,
            BUNDLE, and with --overlays DIR, must have the same path on all nodes.
        restart: with --out: forget what an earlier run left in DIR.
    """
    if out is None:
        for_many = overlays is not None or workers is not None or ray is not None or format != "both"
        if for_many or restart or len(paths) != 1:
            raise ChexError("many films are read into a folder: give --out DIR; or give one FILE alone")
        if overlay is None and (finding or alpha != _ALPHA):
            raise ChexError("--finding and --alpha are of the picture that --overlay writes: give it too")
        _one(Path(paths[0]), model, csv, overlay, finding=finding, alpha=alpha, insist=insist)
        return 0
    if csv or overlay or finding or insist or alpha != _ALPHA:
        raise ChexError("--csv, --overlay, --finding, --alpha and --insist are for one FILE, without --out")
    return _many(paths, model, out, format, overlays, workers, ray, restart=restart)


def _one(
    film: Path,
    model: Path,
    csv: Path | None,
    overlay: Path | None,
    *,
    finding: str | None,
    alpha: float,
    insist: bool,
) -> None:
    from chexmodel.predictor import Predictor

    prediction = Predictor.from_bundle(model).predict(film)
    if prediction.gate is not None and prediction.withheld and not insist:
        raise ChexError(f"{prediction.gate.reason} Give --insist to read it all the same.")
    table = prediction.frame()
    ranked = table.sort_values("probability", ascending=False, na_position="last")
    print(ranked.to_string(index=False, float_format="{:.3f}".format, na_rep="—"))
    for remark in (*prediction.audit.actions, *prediction.warnings):
        print(f"note: {remark}", file=sys.stderr)
    if csv is not None:
        write(csv, table.to_csv(index=False).encode())
    if overlay is not None:
        picture = io.BytesIO()
        prediction.overlay(finding or ranked["observation"].iloc[0], alpha).save(picture, format="PNG")
        write(overlay, picture.getvalue())


def _many(
    paths: Sequence[str],
    model: Path,
    out: Path,
    kind: Literal["both", "parquet", "csv"],
    findings: Sequence[str] | None,
    workers: int | None,
    address: str | None,
    *,
    restart: bool,
) -> int:
    from chexmodel.film_files import printable
    from chexmodel.film_rows import Order
    from chexmodel.headless import in_threads, read_many
    from chexmodel.predictor import Predictor

    if workers is not None and workers < 1:
        raise ChexError(f"--workers is {workers}: give 1 or more")
    many = workers or cores()
    predictor = Predictor.from_bundle(model, threads=1 if many > 1 else None)
    if predictor.engine_note:
        print(f"note: read with PyTorch, which is slower: {predictor.engine_note}", file=sys.stderr)
    if address is None:
        reader = in_threads(predictor, many)
    else:
        from chexmodel.cluster import on_ray

        reader = on_ray(predictor, address, workers)
    try:
        with bar() as progress:
            summary = read_many(
                paths,
                predictor,
                reader,
                Order(findings, out),
                formats=("parquet", "csv") if kind == "both" else (kind,),
                restart=restart,
                progress=progress,
            )
    except KeyboardInterrupt:
        print(
            f"interrupted: {printable(out)} keeps what was read, the same command goes on from there",
            file=sys.stderr,
        )
        return 130
    found = summary.statuses
    counts = ", ".join(f"{found[status]:,} {status}" for status in ("read", "withheld", "not read"))
    print(f"{found.total():,} films: {counts}; {summary.files:,} files were read by this run")
    print(" and ".join(map(printable, summary.tables)))
    return 1 if summary.statuses["not read"] else 0
