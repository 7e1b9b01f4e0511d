"""What the import linter can't see: `app.py`, which is no package, and names spelled in one place only."""

import ast
import re
from pathlib import Path

from chexmodel.labels import OBSERVATIONS

ROOT = Path(__file__).resolve().parents[1]


def imported(file: Path) -> set[str]:
    """Top-level names that a file imports, at any depth."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_the_app_is_a_router_only() -> None:
    names = imported(ROOT / "app.py")
    ours = {f"chexmodel.{name}" for name in ("language", "ui")}
    ours |= {f"chexmodel.ui.{name}" for name in ("bundles", "components", "languages", "sign_in")}
    assert names == {"pathlib", "streamlit", *ours}


def test_streamlit_and_lightning_stay_in_their_rooms() -> None:
    for file in [*ROOT.glob("chexmodel/**/*.py"), *ROOT.glob("train/**/*.py")]:
        names = {name.partition(".")[0] for name in imported(file)}
        inside = file.relative_to(ROOT).parts
        assert ("streamlit" not in names) or inside[:2] == ("chexmodel", "ui"), file
        assert ("lightning" not in names) or inside[0] == "train", file
        assert ("train" not in names) or inside[0] == "train", file
        if inside[0] == "train":
            assert not any(name.startswith("chexmodel.ui") for name in imported(file)), file


def test_observations_are_spelled_in_one_place() -> None:
    two_words = [name for name in OBSERVATIONS if " " in name]
    for file in [*ROOT.glob("chexmodel/**/*.py"), *ROOT.glob("train/**/*.py")]:
        if file.name != "labels.py":
            text = file.read_text()
            assert not any(re.search(rf"[\"']{name}[\"']", text) for name in two_words), file


def test_nothing_from_outside_is_committed() -> None:
    foreign = [".dcm", ".ckpt", ".pth", ".pt", ".pkl", ".npz", ".onnx"]
    kept = [*ROOT.glob("assets/**/*"), *ROOT.glob("tests/**/*"), *ROOT.glob("chexmodel/**/*")]
    assert kept
    assert not [path for path in kept if path.suffix in foreign]


def test_no_page_shows_its_comments() -> None:
    """Streamlit writes a bare string of the page's script to the page; a docstring of a constant is one."""
    router = ast.parse((ROOT / "app.py").read_text())
    pages = [
        n.value for n in ast.walk(router) if isinstance(n, ast.Constant) and str(n.value).endswith(".py")
    ]
    assert len(pages) == 5
    for page in pages:
        body = ast.parse((ROOT / "chexmodel" / "ui" / page).read_text()).body
        bare = [n for n in body[1:] if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)]
        assert not bare, f"{page}, line {bare[0].lineno}"
