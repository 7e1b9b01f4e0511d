"""What serves is safe as it comes: the server's settings, no pickle, dependencies above known advisories."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from streamlit import config

from chexmodel.containers import MAX_UPLOAD

ROOT = Path(__file__).resolve().parents[1]
SERVES = [*sorted(ROOT.glob("chexmodel/**/*.py")), ROOT / "app.py"]

UNPICKLING = {"pickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
METHODS = {"read_pickle", "to_pickle", "cache_data"}
"""Of pandas; and of Streamlit, whose `cache_data` pickles what it keeps."""
TORCH = {"torch.load", "torch.save"}


def unsafe(tree: ast.AST) -> Iterator[str]:
    """What in a module could run code that it reads: imports, calls, `allow_pickle`."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(alias.name for alias in node.names)]
        yield from (name for name in names if name.partition(".")[0] in UNPICKLING)
        if isinstance(node, ast.Name) and node.id in BUILTINS | METHODS:
            yield node.id
        if isinstance(node, ast.Attribute):
            whole = ast.unparse(node)
            if node.attr in METHODS or whole in TORCH or whole in {f"builtins.{name}" for name in BUILTINS}:
                yield whole
        if isinstance(node, ast.keyword):
            allowed = isinstance(node.value, ast.Constant) and node.value.value is False
            if node.arg == "allow_pickle" and not allowed:
                yield "allow_pickle"
            if node.arg == "weights_only" and allowed:
                yield "weights_only=False"


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib.memory",
        "from x import marshal",
        "torch.load(file, weights_only=True)",
        "load = torch.load",
        "np.load(file, allow_pickle=True)",
        "np.load(file, allow_pickle=wanted)",
        "pd.read_pickle(file)",
        "@st.cache_data(ttl=3)\ndef f(): ...",
        "eval(text)",
        "builtins.exec(text)",
    ],
)
def test_the_scan_finds_what_it_looks_for(code: str) -> None:
    assert list(unsafe(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "np.load(file, allow_pickle=False)",
        "network.eval()",
        "re.compile(text)",
        "safetensors.torch.load(data)",
    ],
)
def test_the_scan_lets_harmless_code_be(code: str) -> None:
    assert not list(unsafe(ast.parse(code)))


def test_nothing_that_serves_pickles_or_runs_what_it_reads() -> None:
    assert len(SERVES) > 100
    found = {str(file.relative_to(ROOT)): list(unsafe(ast.parse(file.read_text()))) for file in SERVES}
    assert {name: what for name, what in found.items() if what} == {}


def test_the_server_is_set_up_safely() -> None:
    given = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert given["client"]["showErrorDetails"] == "none"
    assert given["client"]["toolbarMode"] == "viewer"
    assert given["logger"]["enableRich"] is False
    server = given["server"]
    assert server["enableXsrfProtection"] is True
    assert server["enableCORS"] is True
    assert server["enableStaticServing"] is False
    # What opens further doors or trusts what a client says stays as it comes: off.
    opening = {"enableAgentApi", "trustedUserHeaders", "unsafeMetricsUserAttributes", "corsAllowedOrigins"}
    assert not opening & server.keys()
    assert server["maxUploadSize"] * 2**20 == MAX_UPLOAD
    known = config._config_options_template
    unknown = [
        f"{section}.{name}"
        for section, options in given.items()
        for name in options
        if not isinstance(options[name], dict) and f"{section}.{name}" not in known
    ]
    assert [name for name in unknown if not name.startswith("theme.")] == []


def requirement(name: str) -> Requirement:
    lines = [line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    return next(found for line in lines if line and (found := Requirement(line)).name == name)


FLOORS = {
    "pillow": "13.0.0",
    "pydicom": "3.0.2",
    "lightning": "2.6.6",
    "torch": "2.10",
    "streamlit": "1.54",
    "python-multipart": "0.0.27",
    "starlette": "0.49.1",
}
"""The first version of each that no known advisory names."""


@pytest.mark.parametrize(("name", "floor"), FLOORS.items())
def test_dependencies_are_above_known_advisories(name: str, floor: str) -> None:
    allowed = requirement(name).specifier
    low = [Version(part.version) for part in allowed if part.operator == ">="]
    assert low
    assert max(low) >= Version(floor)
    assert floor in allowed or max(low) > Version(floor)
    assert [part.operator for part in allowed].count("<") == 1


@pytest.mark.parametrize("version", ["2.6.2", "2.6.3"])
def test_the_lightning_that_was_tampered_with_is_never_installed(version: str) -> None:
    assert version not in requirement("lightning").specifier


def test_torchvision_goes_with_the_oldest_torch() -> None:
    """Each torchvision is built for one torch: 0.25 for 2.10."""
    torch, vision = (
        max(Version(part.version) for part in requirement(name).specifier if part.operator == ">=")
        for name in ("torch", "torchvision")
    )
    assert vision.minor - torch.minor == 25 - 10


def test_every_requirement_is_bounded() -> None:
    files = sorted(ROOT.glob("requirements*.txt"))
    assert len(files) == 4
    for file in files:
        for line in file.read_text().splitlines():
            text = re.sub(r"#.*", "", line).strip()
            if text and not text.startswith("-r"):
                operators = {part.operator for part in Requirement(text).specifier}
                assert {">=", "<"} <= operators, f"{file.name}: {text}"
