"""The check of the input: fitted with a bundle, and measured on films and pictures that it never saw."""

import json
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from chexmodel import bundle
from chexmodel.bundle import Manifest
from chexmodel.errors import BundleError, DatasetError
from chexmodel.gate import GATE, Gate, load_gate
from chexmodel.gate_rates import GateRate, GateRates
from chexmodel.network import Network
from train.card import write_card
from train.commands import GATE_FILMS, EvaluateConfig, GateConfig
from train.dataset import Split, Splits, load_splits, together
from train.gate_fit import fit_gate
from train.gate_measure import Folder, Watch, external, film_rates, other_rate, others, unseen
from train.gate_measure import together as all_of
from train.hints import hint_rates
from train.judged import fit_config, require_same_data


class Check(NamedTuple):
    """A gate, and how well it works; without rates where that was not measured."""

    gate: Gate
    rates: GateRates

    def files(self) -> dict[str, bytes]:
        """Those of a bundle that hold it."""
        return {GATE: self.gate.to_bytes(), "gate.json": bundle.to_json(self.rates, GateRates)}


def gate(config: GateConfig) -> GateRates:
    """Fit a gate to a bundle's training films, measure it, and write both, and the card anew.

    Nothing but training films decides anything: what is measured on comes after.

    Returns:
        What was written to `gate.json`.

    Raises:
        ChexError: the bundle, the data or the pictures do not fit; the bundle is then as it was.
    """
    loaded = bundle.load(config.bundle, gate=False)  # whatever gate it has is replaced
    manifest, network = loaded.manifest, loaded.network
    judged_as = EvaluateConfig(bundle=config.bundle, data=config.data)
    splits = load_splits(fit_config(judged_as, manifest))
    if manifest.origin is None:
        require_same_data(judged_as, manifest, splits)
    films = [unseen(splits.test, _test_name(splits)), *map(external, config.external)]
    pictures = {parent: others(parent) for parent in config.others}  # read first: a wrong path costs no time
    fitted = fit_gate(network, manifest, learnt(splits), films=config.films, seed=config.seed)
    # As it is written: what the app will use.
    watch = Watch(Gate.from_bytes(fitted.to_bytes()), network, manifest.preprocessing)
    rates = [rate for folder in films for rate in film_rates(watch, folder)]
    for parent, folders in pictures.items():
        rates += _other_rates(watch, parent, folders)
    hints = [rate for folder in films for rate in hint_rates(folder)]
    measured = _rates(fitted, _command(config), rates).model_copy(update={"hints": hints})
    folds = [pair.validation for pair in splits.pairs]
    card = write_card(
        manifest,
        loaded.metrics(),
        loaded.thresholds,
        loaded.localisation(),
        folds,
        loaded.reliability(),
        measured,
    )
    bundle.save(config.bundle, Check(fitted, measured).files() | {"card.md": card.encode()})
    print(summary(measured))
    return measured


def gate_for(path: Path, manifest: Manifest, network: Network, splits: Splits) -> Check | None:
    """Keep the gate that a bundle has for these weights, with its rates, or fit one that is not measured yet.

    Returns:
        None where the training films are too few.
    """
    try:
        kept, rates = (
            load_gate(path, manifest, network.head.in_features),
            bundle.read_gate_rates(path, manifest),
        )
    except BundleError:
        kept = rates = None  # of former weights, or damaged: it is replaced
    if kept is not None:
        return Check(kept, rates or _rates(kept, "", []))
    try:
        fitted = fit_gate(network, manifest, learnt(splits), films=GATE_FILMS, seed=0)
    except DatasetError as error:
        print(f"note: no check of the input is fitted: {error}", file=sys.stderr)
        return None
    return Check(fitted, _rates(fitted, "", []))


def learnt(splits: Splits) -> Split:
    """All films that a network of the bundle learnt from, each once."""
    every = together([pair.train for pair in splits.pairs])
    first = {name: i for i, name in reversed(list(enumerate(every.ids)))}
    return every.take(np.array([first[name] == i for i, name in enumerate(every.ids)]))


def summary(measured: GateRates) -> str:
    """One line a kind of pictures."""
    lines = [
        f"{rate.source}, {rate.shown}: {round(rate.right.value * rate.pictures)} of {rate.pictures} right "
        f"({rate.right.low:.3f}–{rate.right.high:.3f}), {rate.corrected} with a correction"
        for rate in measured.rates
        if rate.pictures
    ]
    return "\n".join(lines)


def _rates(fitted: Gate, command: str, rates: list[GateRate]) -> GateRates:
    return GateRates(
        command=command,
        weights_sha256=fitted.fit.weights_sha256,
        fitted_films=fitted.fit.films,
        fitted_patients=fitted.fit.patients,
        rates=rates,
    )


def _other_rates(watch: Watch, parent: Path, folders: list[Folder]) -> list[GateRate]:
    rates = [other_rate(watch, folder) for folder in folders]
    return [all_of(parent.name, rates), *rates] if len(rates) > 1 else rates


def _test_name(splits: Splits) -> str:
    return "valid.csv" if "valid.csv" in splits.fingerprint.files else "the test split"


def _command(config: GateConfig) -> str:
    """The command, with the folders' own names alone."""
    words = ["python", "-m", "train", "gate", f"runs/{config.bundle.resolve().name}", "--data", "DIR"]
    for option, folders in (("--external", config.external), ("--others", config.others)):
        words += [option, *(folder.resolve().name for folder in folders)] if folders else []
    chosen = json.loads(config.model_dump_json(exclude_defaults=True, include={"films", "seed"}))
    words += [word for name, value in chosen.items() for word in (f"--{name}", str(value))]
    return shlex.join(words)
