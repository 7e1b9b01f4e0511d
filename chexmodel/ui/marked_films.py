"""Part of the page Evaluation: the marked films themselves, each with its map."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import streamlit as st
import torch
from numpy.typing import NDArray

from chexmodel import bundle as bundles
from chexmodel.bundle import Bundle
from chexmodel.errors import DatasetError
from chexmodel.explain import METHODS, Method, method_map
from chexmodel.labels import OBSERVATIONS
from chexmodel.language import mark, tr
from chexmodel.layout import image_paths
from chexmodel.network import Network, ensemble
from chexmodel.regions import Regions, read_regions
from chexmodel.ui.components import guard
from chexmodel.ui.decoder import decoders
from chexmodel.ui.film import CONFIG, film_figure
from chexmodel.ui.outlines import outlined

METHOD_KEY: Final = "localisation-method"
ORDER_KEY: Final = "localisation-order"
FILM_KEY: Final = "localisation-film"

_ORDERS: Final = {
    mark("misses first"): (["hit", "iou"], [True, True]),
    mark("hits first"): (["hit", "iou"], [False, False]),
    mark("lowest IoU first"): (["iou"], [True]),
    mark("highest IoU first"): (["iou"], [False]),
}
_HEIGHT: Final = 420  # px


def browse(bundle: Bundle, data: Path | None, *, observation: str, split: str) -> None:
    """Let the visitor look through the films that were measured.

    Args:
        bundle: the model.
        data: the folder that it was evaluated on; None says how to give it.
        observation: whose map and region.
        split: "validation", "test" or "all".

    Raises:
        BundleError: the file of the films is damaged.
    """
    st.markdown(tr("**The films**"))
    films = bundle.localised_films()
    films = films[films["observation"] == observation]
    films = films if split == "all" else films[films["split"] == split]
    if films.empty:
        st.info(
            tr(
                "This bundle does not say which films were measured: a former version wrote it. Run "
                "`python -m train evaluate {path} --data DIR`.",
                path=bundle.path,
            )
        )
        return
    if data is None:
        st.info(
            tr(
                "To see the films with their maps, set the environment variable CHEXMODEL_DATA to the folder "
                "that the model was evaluated on, before the app is started. All who can open the app then "
                "see the films."
            )
        )
        return
    _browse(bundle, data, films)


@st.fragment
def _browse(bundle: Bundle, data: Path, films: pd.DataFrame) -> None:
    """Only this part runs again when another film is chosen."""
    methods = [method for method in METHODS if (films["method"] == method).any()]
    left, middle, right = st.columns([2, 2, 3])
    method: Method = left.selectbox(tr("Method"), methods, key=METHOD_KEY)
    order = middle.selectbox(tr("Order"), list(_ORDERS), key=ORDER_KEY, format_func=tr)
    columns, ascending = _ORDERS[order]
    rows = films[films["method"] == method].sort_values([*columns, "film"], ascending=[*ascending, True])
    records = {
        str(row["film"]): {str(name): value for name, value in row.items()} for row in rows.to_dict("records")
    }
    name = right.selectbox(
        tr("Film ({hits} hits among {films})", hits=int(rows["hit"].sum()), films=len(rows)),
        list(records),
        format_func=lambda film: (tr("hit") if records[film]["hit"] else tr("miss")) + f" · {_short(film)}",
        key=FILM_KEY,
    )
    with guard():  # here, as an error does not leave a fragment
        _show(bundle, data, name, records[name], method)


def _show(bundle: Bundle, data: Path, name: str, row: dict[str, Any], method: Method) -> None:
    observation: str = row["observation"]
    member = None if pd.isna(row["fold"]) else int(row["fold"])
    region = next((r for r in _regions(str(data)).of(name) if r.finding == observation), None)
    file = image_paths(pd.DataFrame({"Path": [name]}), data)[0]
    if region is None or not file.is_file():
        raise DatasetError(
            tr(
                "the data folder (CHEXMODEL_DATA) does not hold {film} with what is marked on it: give the "
                "folder, not a pack, that {path} was evaluated on",
                film=name,
                path=bundle.path,
            )
        )
    sha = bundle.manifest.weights_sha256
    film = decoders().read(file).pixels
    with st.spinner(tr("Drawing the map …")):
        grid = torch.from_numpy(_map(str(bundle.path), sha, str(file), member, observation, method))
    cutoff: float = row["cutoff"]
    left, right = st.columns(2)
    with left:
        st.markdown(tr("Film, and what radiologists marked (solid)"))
        picture = outlined(film, grid, region, cutoff=cutoff, alpha=0.0)
        st.plotly_chart(film_figure(picture, height=_HEIGHT), config=CONFIG, key="marked-film", theme=None)
    with right:
        st.markdown(tr("{method}: peak (cross), what it marks (dashed)", method=method))
        picture = outlined(film, grid, region, cutoff=cutoff, alpha=0.5)
        figure = film_figure(picture, height=_HEIGHT, scale=(1.0, tr("share of the map's maximum")))
        st.plotly_chart(figure, config=CONFIG, key="marked-map", theme=None)
    st.markdown(_words(row, bundle.manifest.members, member))
    split: str = row["split"]
    st.caption(
        tr(
            "`{film}`, {split} split. The map is painted as a share of its own maximum.",
            film=name,
            split=tr(split),
        )
    )


def _words(row: dict[str, Any], members: int, member: int | None) -> str:
    if not row["positive"]:
        return tr("**Miss**: the map is nowhere positive, which counts as a miss and an IoU of 0.")
    overlap = (
        tr("IoU undefined, as no other patient's film gives a cut-off")
        if np.isnan(row["iou"])
        else tr(
            "IoU {iou:.2f} at a cut-off of {cutoff:.2f} of its maximum", iou=row["iou"], cutoff=row["cutoff"]
        )
    )
    network = (
        tr(
            "Drawn by member {member} of {members}, the one that did not learn from this patient.",
            member=member,
            members=members,
        )
        if member is not None
        else tr("Drawn by the model, which did not learn from this patient.")
    )
    where = (
        tr("**Hit**: the map's highest point lies in what is marked; {overlap}.", overlap=overlap)
        if row["hit"]
        else tr(
            "**Miss**: the map's highest point lies outside of what is marked; {overlap}.", overlap=overlap
        )
    )
    return f"{where} {network}"


def _short(film: str) -> str:
    return "/".join(Path(film).with_suffix("").parts[-3:])


@st.cache_resource(ttl=600, max_entries=4, show_spinner=False)
def _regions(data: str) -> Regions:
    return read_regions(data)


@st.cache_resource(max_entries=2, show_spinner=False)
def _members(path: str, sha256: str) -> list[Network]:  # noqa: ARG001 – part of the key
    place = Path(path)
    return bundles.load_members(place, bundles.read_manifest(place))


@st.cache_resource(max_entries=512, show_spinner=False)
def _map(
    path: str,
    sha256: str,
    file: str,
    member: int | None,
    observation: str,
    method: Method,
) -> NDArray[np.float32]:
    """Map (h, w) of a film by the network that did not learn from it; kept by film, weights and method."""
    with st.spinner(tr("Loading the members …")):
        members = _members(path, sha256)
    network = ensemble(members) if member is None else members[member - 1]
    preprocessing = bundles.read_manifest(Path(path)).preprocessing
    image = preprocessing.tensor(decoders().read(Path(file)).grey)
    grid: NDArray[np.float32] = method_map(
        network, image, OBSERVATIONS.index(observation), method=method
    ).numpy()
    return grid
