"""Every word that the viewer's script shows, in the language in use: the script itself has none."""

from chexmodel.language import tr


def words(unit: str) -> dict[str, object]:
    """Word by its name in the script; fields in braces are filled there.

    Args:
        unit: of the maps, in the language in use.
    """
    return _tools() | _reading() | {"unit": unit, "keys": _keys()}


def _tools() -> dict[str, object]:
    return {
        "filmTools": tr("Film"),
        "mapTools": tr("Map"),
        "zoom": tr("Zoom"),
        "zoomIn": tr("Zoom in"),
        "zoomOut": tr("Zoom out"),
        "fit": tr("Fit"),
        "actual": tr("One film pixel on one screen pixel"),
        "level": tr("Level"),
        "width": tr("Width"),
        "drag": tr("Drag to window"),
        "dragHelp": tr("Dragging changes the window: up and down its level, sideways its width"),
        "invert": tr("Invert"),
        "reset": tr("Reset"),
        "wasReset": tr("Zoom, position, window and inversion are reset."),
        "map": tr("Map"),
        "previous": tr("Previous finding"),
        "next": tr("Next finding"),
        "heat": tr("Heat"),
        "contour": tr("Contours"),
        "signed": tr("For and against"),
        "opacity": tr("Opacity"),
        "percent": tr("{value} %"),
        "help": tr("Keys and gestures"),
        "helpNote": tr(
            "The keys work while the focus is in the viewer. On the film: wheel or two fingers zoom; "
            "dragging moves a zoomed film; dragging with the right button changes the window. Two films "
            "move together."
        ),
    }


def _reading() -> dict[str, object]:
    return {
        "stage": tr("Films: arrow keys move, plus and minus zoom"),
        "findings": tr("Findings"),
        "insisted": tr(
            "Read at the reader's insistence: the check of the input rejected this film. These scores may "
            "mean nothing."
        ),
        "noneAbove": tr("No score lies at or above its threshold, and none is indeterminate."),
        "folded": tr("Below threshold or not trained ({n})"),
        "barKey": tr(
            "▲ at or above threshold, ◇ indeterminate. Bar: score; line: threshold; dashed: the threshold's "
            "95 % interval. In brackets: 95 % intervals."
        ),
        "choose": tr("Choose a finding to see where its score came from."),
        "caption": tr("Where the score for {name} came from, not an outline of disease."),
        "beside": tr("{title}: {said}, {side}"),
        "strongest": tr("Strongest evidence: {where}."),
        "nothing": tr("Nothing in the film speaks for it: the map is nowhere positive."),
        "mapOff": tr("Map off."),
        "mapLabel": tr("{title} with the map of {name}."),
        "filmLabel": tr("{title}: the film alone, {width} × {height} pixels."),
        "reduced": tr("{title} is shown reduced from {from} to {to} pixels."),
    }


def _keys() -> list[tuple[str, str]]:
    return [
        ("n  p", tr("next, previous finding")),
        ("m", tr("map on or off")),
        ("v", tr("next view of the map")),
        ("<  >", tr("opacity")),
        ("+  −", tr("zoom")),
        ("← → ↑ ↓", tr("move a zoomed film")),
        ("f", tr("fit")),
        ("[  ]", tr("level of the window")),
        ("{  }", tr("width of the window")),
        ("i", tr("invert")),
        ("r", tr("reset")),
    ]
