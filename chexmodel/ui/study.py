"""Part of the page Training: what the study of strategies found."""

from pathlib import Path
from typing import Final

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from chexmodel import canvas
from chexmodel.comparison import excludes_zero
from chexmodel.comparison_tables import interval
from chexmodel.studies import Study, read_study
from chexmodel.ui.components import MODELS, guard

STUDY: Final = MODELS.parent / "study.json"


def study_section(file: Path = STUDY) -> None:
    """Show the table of a study with its conditions; nothing where there is none."""
    if not file.is_file():
        return
    st.divider()
    st.subheader("Which strategies matter: a study")
    with guard():
        study = read_study(file)
        st.plotly_chart(differences(study), config=canvas.CONFIG, key="study-differences")
        st.caption(
            "Right of 0 the configuration is better than the base. A filled mark's interval excludes 0; "
            "where nothing differs, one in twenty still does, so a lone one that barely does says little."
        )
        st.dataframe(
            study.frame(),
            hide_index=True,
            height="content",
            column_config={"configuration": st.column_config.Column(pinned=True)},
        )
        st.caption(study.conditions())
        st.code(study.command, language="bash")


def differences(study: Study) -> go.Figure:
    """Difference of each configuration to the base in mean AUROC, with its interval."""
    found = [(row.name, row.difference) for row in study.rows if row.difference is not None]
    look = canvas.look(0)
    figure = canvas.figure(
        [
            go.Scatter(
                x=[row.value for _, row in found],
                y=[name for name, _ in found],
                mode="markers",
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": canvas.gaps(np.array([row.high - row.value for _, row in found])),
                    "arrayminus": canvas.gaps(np.array([row.value - row.low for _, row in found])),
                    "color": look.colour,
                    "thickness": 1.5,
                    "width": 3,
                },
                marker={
                    "symbol": [look.symbol + ("" if excludes_zero(row) else "-open") for _, row in found],
                    "color": look.colour,
                    "size": 9,
                    "line": {"width": 2, "color": look.colour},
                },
                text=[interval(row, signed=True) for _, row in found],
                hovertemplate="%{y}: %{text}<extra></extra>",
            )
        ],
        height=40 * len(found) + 90,
        showlegend=False,
    )
    figure.add_vline(x=0, line={"color": canvas.GREY, "dash": "dot", "width": 1.5})
    figure.update_xaxes(title="difference to the base in mean AUROC", tickformat="+.2~f", zeroline=False)
    return figure.update_yaxes(autorange="reversed", showgrid=False, zeroline=False)
