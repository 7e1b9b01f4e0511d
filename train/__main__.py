"""Train and judge from the shell: `python -m train COMMAND`."""

import logging
import sys
import warnings
from collections.abc import Sequence

import tyro
from tyro.extras import SubcommandApp

from chexmodel.errors import ChexError
from train.commands import CompareConfig, EvaluateConfig, GateConfig, ImportConfig, PackConfig, StudyConfig
from train.config import FitConfig

app = SubcommandApp()


@app.command(name="fit")
def _fit(config: tyro.conf.OmitArgPrefixes[FitConfig]) -> None:
    """Train a classifier and write its bundle; `evaluate` completes it."""
    from train.fit import fit

    _quiet()
    fit(config)


@app.command(name="evaluate")
def _evaluate(config: tyro.conf.OmitArgPrefixes[EvaluateConfig]) -> None:
    """Fit calibration and thresholds on validation, score the test split once, complete the bundle."""
    if config.protocol == "reference":
        from train.reference import reference_protocol

        reference_protocol(config)
        return
    from train.evaluate import evaluate

    evaluate(config)


@app.command(name="gate")
def _gate(config: tyro.conf.OmitArgPrefixes[GateConfig]) -> None:
    """Fit and measure the check that a picture is an upright frontal chest film."""
    from train.gate import gate

    gate(config)


@app.command(name="import")
def _import(config: tyro.conf.OmitArgPrefixes[ImportConfig]) -> None:
    """Write published weights (torchxrayvision's) as a bundle; `evaluate` completes it."""
    from train.importing import import_torchxrayvision

    import_torchxrayvision(config)


@app.command(name="study")
def _study(config: tyro.conf.OmitArgPrefixes[StudyConfig]) -> None:
    """Train a plan of configurations on the same folds, one after another, and compare them."""
    from train.study import study

    _quiet()
    study(config)


@app.command(name="pack")
def _pack(config: tyro.conf.OmitArgPrefixes[PackConfig]) -> None:
    """Decode every film once, into one array that `fit` and `evaluate` read much faster."""
    from train.packing import pack

    pack(config)


@app.command(name="compare")
def _compare(config: tyro.conf.OmitArgPrefixes[CompareConfig]) -> None:
    """Put runs side by side: options, metrics, and paired differences to the first one."""
    from train.compare import compare

    compare(config)


def _quiet() -> None:
    """Lightning's notices (a tip of the day among them) would hide ours; its warnings stay."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=FutureWarning, module="lightning")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0; 2 after an expected error, which is a sentence on stderr; 130 after Ctrl-C.
    """
    try:
        app.cli(prog="python -m train", description="Train and judge a classifier.", args=arguments)
    except ChexError as error:
        print(_sentence(error), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        return 130
    return 0


def _sentence(error: ChexError) -> str:
    """Drop the traceback that a loading process puts around its error's own words."""
    text = str(error).strip()
    if "Original Traceback" in text:
        text = text.splitlines()[-1].partition(": ")[2]
    return text


if __name__ == "__main__":
    sys.exit(main())
