"""The peers' own virtual environment, `.tools/bench`, from a hash-locked list: nothing of it reaches the project's.

Fairlead itself is not installed there: its source is put on the path, so what is measured is the working tree.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".tools" / "bench"
PYTHON = FOLDER / "bin" / "python"
SOURCE = ROOT / "libs" / "framework" / "src"

BASIC = ROOT / "benchmarks" / "requirements.txt"
MORE = ROOT / "benchmarks" / "more.txt"
TELEMETRY = ROOT / "benchmarks" / "telemetry.txt"


def prepare(*, with_more: bool, with_telemetry: bool = False) -> None:
    """Make or bring up to date the environment; nothing to do when the locked list is the one that it was made from.

    Raises `subprocess.CalledProcessError` when a package can't be installed; pip has said why.
    """
    wanted = [MORE if with_more else BASIC, *([TELEMETRY] if with_telemetry else [])]
    missing = [one for one in wanted if not _acceptable(one) & _installed()]
    if not missing:
        return
    print(f"installing the peers into {FOLDER.relative_to(ROOT)} ...", flush=True)
    if not PYTHON.exists():
        venv.create(FOLDER, with_pip=True)
    for one in missing:
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "-r", str(one)]
        subprocess.run([str(PYTHON), "-m", "pip", "install", *options], check=True)
    _marker().write_text("\n".join(sorted(_installed() | {_digest(one) for one in missing})))


def _acceptable(wanted: Path) -> set[str]:
    """The longer lists hold the shortest one."""
    return {_digest(wanted), *({_digest(MORE), _digest(TELEMETRY)} if wanted == BASIC else ())}


def _digest(requirements: Path) -> str:
    content = requirements.read_bytes() + sys.version.encode()
    return hashlib.sha256(content).hexdigest()


def _marker() -> Path:
    return FOLDER / ".installed"


def _installed() -> set[str]:
    try:
        return set(_marker().read_text().split())
    except OSError:
        return set()


def variables() -> dict[str, str]:
    """The environment variables of the programs that run there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FAIRLEAD_", "SANIC_"))}
    return {**kept, "PYTHONPATH": f"{ROOT}{os.pathsep}{SOURCE}", "PYTHONDONTWRITEBYTECODE": "1"}


def versions(packages: set[str]) -> dict[str, str]:
    """Versions of the installed ones among `packages`, and of the interpreter."""
    program = (
        "import importlib.metadata as m, platform, sys\n"
        "print('python', platform.python_version())\n"
        "for name in sys.argv[1:]:\n"
        "    try: print(name, m.version(name))\n"
        "    except m.PackageNotFoundError: pass\n"
    )
    command = [str(PYTHON), "-c", program, *sorted(packages)]
    done = subprocess.run(command, env=variables(), capture_output=True, text=True, check=True)
    found = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    from fairlead import __version__

    return {**found, "fairlead": __version__}
