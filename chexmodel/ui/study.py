"""Part of the page Training: what the study of strategies found."""

from pathlib import Path
from typing import Final

import plotly.graph_objects as go
import streamlit as st

from chexmodel import canvas
from chexmodel.language import tr
from chexmodel.run_charts import difference_marks
from chexmodel.studies import Study, read_study
from chexmodel.ui.bundles import MODELS
from chexmodel.ui.components import guard
from chexmodel.ui.grid import grid

STUDY: Final = MODELS.parent / "study.json"


def study_section(file: Path = STUDY) -> None:
    """Show the table of a study with its conditions; nothing where there is none."""
    if not file.is_file():
        return
    st.divider()
    st.subheader(tr("Which strategies matter: a study"))
    with guard():
        study = read_study(file)
        st.plotly_chart(differences(study), config=canvas.CONFIG, key="study-differences")
        st.caption(
            tr(
                "Right of 0 the configuration is better than the base. A filled mark's interval excludes 0; "
                "where nothing differs, one in twenty still does, so a lone one that barely does says little."
            )
        )
        grid(
            study.frame(),
            hide_index=True,
            columns={"configuration": st.column_config.Column(pinned=True)},
        )
        st.caption(study.conditions())
        st.code(study.command, language="bash")


def differences(study: Study) -> go.Figure:
    """Difference of each configuration to the base in mean AUROC, with its interval."""
    found = [(tr(row.name), row.difference) for row in study.rows if row.difference is not None]
    marks = difference_marks([row for _, row in found], canvas.look(0))
    marks.update(y=[name for name, _ in found], hovertemplate="%{y}: %{text}<extra></extra>")
    figure = canvas.figure([marks], height=40 * len(found) + 90, showlegend=False)
    figure.add_vline(x=0, line={"color": canvas.GREY, "dash": "dot", "width": 1.5})
    figure.update_xaxes(title=tr("difference to the base in mean AUROC"), tickformat="+.2~f", zeroline=False)
    return figure.update_yaxes(autorange="reversed", showgrid=False, zeroline=False)
