"""The image and the compose file, as far as they can be held without building them."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from streamlit import config

from chexmodel.containers import MAX_UPLOAD

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def instructions(name: str) -> list[str]:
    joined = re.sub(r"\\\n\s*", " ", DOCKERFILE)
    found = re.findall(rf"^(?:HEALTHCHECK .*)?{name} (.*)$", joined, flags=re.MULTILINE)
    return [str(line) for line in found]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return found


def test_the_dockerfile_passes_its_linter() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    command = [hadolint, "--failure-threshold", "style", str(ROOT / "Dockerfile")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_is_pinned_and_runs_without_rights() -> None:
    (base,) = instructions("FROM")
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", base)
    assert instructions("USER") == ["10001:10001"]
    health, command = instructions("CMD")
    assert json.loads(command) == ["streamlit", "run", "app.py"]
    python, flag, code = json.loads(health)
    assert (python, flag) == ("python", "-c")
    compile(code, "health", "exec")
    assert "/_stcore/health" in code


def test_the_image_sets_options_that_exist() -> None:
    (variables,) = [line for line in instructions("ENV") if "STREAMLIT" in line]
    known = {option.env_var for option in config._config_options_template.values()}
    given = set(re.findall(r"STREAMLIT_\w+", variables))
    assert given
    assert given <= known


def test_what_is_copied_is_there_and_let_through() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [name for line in instructions("COPY") for name in line.split()[:-1]]
    assert sorted(copied) == sorted(allowed)
    for name in copied:
        assert (ROOT / name).exists(), name
    assert ".streamlit" not in copied  # secrets lie beside the configuration


def test_secrets_are_never_committed() -> None:
    assert ".streamlit/secrets.toml" in (ROOT / ".gitignore").read_text().splitlines()
    assert not (ROOT / ".streamlit" / "secrets.toml").exists()


def test_every_service_is_hardened_and_bounded(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"reader", "proxy"}
    for service in compose["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert {"mem_limit", "pids_limit"} <= service.keys()
        assert not service.get("privileged")
        assert all("docker.sock" not in volume for volume in service["volumes"])
    assert re.fullmatch(r"caddy:\d+\.\d+\.\d+-alpine", compose["services"]["proxy"]["image"])


def test_only_the_proxy_is_reached_from_outside(compose: dict[str, Any]) -> None:
    reader, proxy = compose["services"]["reader"], compose["services"]["proxy"]
    assert "ports" not in reader
    assert reader["networks"] == ["inside"]
    assert compose["networks"]["inside"]["internal"] is True
    assert "443:443" in proxy["ports"]
    named = set(compose["volumes"]) | {".", "./runs"}
    assert {volume.split(":")[0] for s in (reader, proxy) for volume in s["volumes"]} <= named


def test_the_proxy_speaks_to_the_app_and_lets_its_uploads_through(compose: dict[str, Any]) -> None:
    caddyfile = compose["configs"]["caddyfile"]["content"]
    (port,) = re.findall(r"STREAMLIT_SERVER_PORT=(\d+)", DOCKERFILE)
    assert f"reverse_proxy reader:{port}" in caddyfile
    assert "/_stcore/metrics*" in caddyfile
    (most,) = re.findall(r"max_size (\d+)MB", caddyfile)
    assert int(most) * 10**6 > MAX_UPLOAD + 2**20  # and the frame of a request
    assert caddyfile.count("{") == caddyfile.count("}")


def test_the_compose_file_sets_options_that_exist(compose: dict[str, Any]) -> None:
    known = {option.env_var for option in config._config_options_template.values()}
    given = {name for name in compose["services"]["reader"]["environment"] if name.startswith("STREAMLIT")}
    assert given
    assert given <= known
