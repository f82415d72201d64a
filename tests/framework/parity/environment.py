"""An environment with Sanic in it, for the tests that compare: .tools/parity, made from requirements/parity.txt when it is needed.

It is made once for a lock file: a stamp holds the lock's digest. Only one process makes it; the others wait.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LOCK = ROOT / "requirements" / "parity.txt"
FOLDER = ROOT / ".tools" / "parity"

UNREACHABLE = (
    "Failed to establish a new connection",
    "Could not fetch URL",
    "Temporary failure",
    "NameResolutionError",
    "Connection",
)
"""What pip says when it can't reach an index; anything else (a hash that is another, say) is a failure."""


def sanic_python() -> Path:
    """The interpreter that has Sanic. Skips the test, with the reason, when the package index can't be reached."""
    python, stamp = FOLDER / "bin" / "python", FOLDER / "digest"
    digest = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()
    FOLDER.parent.mkdir(exist_ok=True)
    with (FOLDER.parent / "parity.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == digest:
            return python
        shutil.rmtree(FOLDER, ignore_errors=True)
        run(sys.executable, "-m", "venv", FOLDER)
        options = ("--disable-pip-version-check", "--require-hashes", "--only-binary", ":all:", "--retries", "1")
        installed = run(python, "-m", "pip", "install", "-qq", *options, "-r", LOCK, check=False)
        if installed.returncode and any(sign in installed.stderr for sign in UNREACHABLE):
            pytest.skip(f"NOT COMPARED WITH SANIC: no package index can be reached ({installed.stderr.strip().splitlines()[-1]})")
        assert installed.returncode == 0, installed.stderr
        stamp.write_text(digest)
    return python


def run(
    *words: str | Path, check: bool = True, environ: dict[str, str] | None = None, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run a command and keep what it says."""
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=check, env=environ, cwd=cwd)
