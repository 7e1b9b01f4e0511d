"""A table on a page: its headings in the reader's language, its numbers as that language writes them."""

from collections.abc import Collection, Mapping
from typing import Any, Final, Literal

import pandas as pd
import streamlit as st

from chexmodel.language import current, number, tr

_PLAIN: Final = {"i": ",", "u": ",", "f": ".3f"}
"""Kind of a column's numbers → how they are written where nothing else is said."""


def grid(
    frame: pd.DataFrame,
    *,
    words: Collection[str] = (),
    formats: Mapping[str, str] | None = None,
    columns: Mapping[str, Any] | None = None,
    hide_index: bool = False,
    height: int | Literal["content"] = "content",
    key: str | None = None,
) -> None:
    """Draw a table that sorts by its numbers, in whatever way they are written; NaN is "—".

    Args:
        frame: its headings are messages.
        words: columns, or the index by its name, whose cells are messages too.
        formats: column → format specification of its numbers, Python's; otherwise whole numbers with
            thousands separators, and others with three decimals.
        columns: column → `st.column_config`, for columns that need more than that.
        hide_index: leave it out.
        height: px, or "content" for all rows.
        key: of the element.
    """
    drawn = frame.rename(index=tr) if frame.index.name in words else frame
    drawn = drawn.assign(**{name: drawn[name].map(tr) for name in words if name in drawn})
    kinds = {str(column): _PLAIN.get(kind.kind) for column, kind in drawn.dtypes.items()}
    specs = {name: spec for name, spec in (kinds | dict(formats or {})).items() if spec is not None}
    plain = current() == "en"
    config = (
        {name: st.column_config.NumberColumn(**_english(spec)) for name, spec in specs.items()}
        if plain
        else {}
    )
    config |= dict(columns or {})
    for name in filter(None, (drawn.index.name, *drawn.columns)):
        config[name] = {**config.get(name, st.column_config.Column()), "label": tr(name)}
    # Streamlit writes a number as the browser's language does; a style's text stands before that.
    styled = drawn.style.format({name: _written(spec) for name, spec in specs.items()}, na_rep="—")
    st.dataframe(
        drawn if plain else styled,
        hide_index=hide_index,
        height=height,
        column_config=config,
        placeholder="—",
        key=key,
    )


def _english(spec: str) -> dict[str, Any]:
    if spec.startswith(","):
        return {"format": "localized"} | ({"step": 1} if spec == ",.0f" else {})
    return {"format": f"%{spec}"}


def _written(spec: str) -> Any:
    if spec == ",":  # as Streamlit's "localized": decimals where there are any
        return lambda value: number(value, ",.0f" if value == round(value) else ",.1f")
    return lambda value: number(value, spec)
