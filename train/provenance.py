"""Which code made a file."""

import subprocess
from pathlib import Path

from chexmodel.version import __version__


def code_version() -> str:
    """Version, and in a git checkout the commit: `0.1.0+1a2b3c4`, with `.dirty` where files were changed."""
    command = ["git", "describe", "--always", "--dirty=.dirty", "--abbrev=7", "--exclude=*"]
    try:
        found = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return __version__
    return f"{__version__}+{found.stdout.strip()}"
