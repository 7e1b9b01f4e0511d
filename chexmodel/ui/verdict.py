"""The reader's word: accept, reject or correct each score, with a comment. It stays in the session."""

from collections.abc import Sequence
from typing import Final

import streamlit as st

from chexmodel.language import mark, tr
from chexmodel.ui.cases import Case
from chexmodel.ui.findings import Finding
from chexmodel.verdicts import LONGEST, PRESENCES, Answer, Presence, Verdict, Word

_WIDTHS: Final = (2, 5)
_ACTIONS: Final[dict[Answer, str]] = {
    "accepted": mark("Accept"),
    "rejected": mark("Reject"),
    "corrected": mark("Correct"),
}


def verdicts(findings: Sequence[Finding], case: Case, *, key: str) -> Word:
    """Draw a row per trained observation and take down what the reader says.

    Args:
        findings: of the film's reading, in the order of the list.
        case: whose word is kept up to date.
        key: of the film, for the widgets.

    Returns:
        The word as it stands.
    """
    st.caption(
        tr(
            "Your word on each score goes into every export, with your comments. It is kept in this session "
            "alone and is gone when you close the page."
        )
    )
    trained = [finding for finding in findings if finding.state != "untrained"]
    said = {row.observation: _row(row, case.word.of(row.observation), key) for row in trained}
    comment = st.text_area(
        tr("Comment on the film"), case.word.comment, max_chars=LONGEST, key=f"comment-{key}", height=80
    )
    given = {name: verdict for name, verdict in said.items() if verdict is not None}
    case.word = Word(verdicts=given, comment=comment.strip())
    return case.word


def _row(finding: Finding, kept: Verdict | None, key: str) -> Verdict | None:
    observation, shown = finding.observation, finding.name
    score, said = st.columns(_WIDTHS, vertical_alignment="center")
    score.markdown(f"**{finding.said}**  \n{finding.side}")
    row = said.container(horizontal=True, vertical_alignment="center")
    answer: Answer | None = row.segmented_control(
        tr("Your verdict on {observation}", observation=shown),
        list(_ACTIONS),
        default=kept.answer if kept else None,
        format_func=lambda value: tr(_ACTIONS[value]),
        key=f"answer-{key}-{observation}",
        label_visibility="collapsed",
    )
    if answer is None:
        return None
    presence: Presence | None = None
    if answer == "corrected":
        presence = row.segmented_control(
            tr("What you see of {observation}", observation=shown),
            list(PRESENCES),
            default=kept.presence if kept else None,
            format_func=lambda value: tr(PRESENCES[value]),
            key=f"presence-{key}-{observation}",
            label_visibility="collapsed",
        )
    comment = row.text_input(
        tr("Comment on {observation}", observation=shown),
        kept.comment if kept else "",
        max_chars=LONGEST,
        key=f"remark-{key}-{observation}",
        label_visibility="collapsed",
        placeholder=tr("Comment"),
        width=260,
    )
    return Verdict(answer=answer, presence=presence, comment=comment.strip())
