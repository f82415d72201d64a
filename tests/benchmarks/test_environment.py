"""benchmarks.environment: the peers live apart, and are installed once."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from benchmarks import environment


@pytest.fixture
def installs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """What pip would have been called with; nothing is installed."""
    calls: list[list[str]] = []

    def run(command: list[str], **options: Any) -> None:
        calls.append([str(part) for part in command])

    def create(folder: Path, **options: Any) -> None:
        folder.mkdir(parents=True)

    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "FOLDER", tmp_path / "bench")
    monkeypatch.setattr(environment, "PYTHON", tmp_path / "bench" / "python")
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(venv, "create", create)
    return calls


def test_installed_once(installs: list[list[str]]) -> None:
    """The same list again: nothing to do. Hashes are required, always."""
    environment.prepare(with_more=False)
    environment.prepare(with_more=False)
    assert len(installs) == 1
    assert "--require-hashes" in installs[0]
    assert installs[0][-1].endswith("requirements.txt")


def test_the_longer_list_holds_the_shorter(installs: list[list[str]]) -> None:
    """Who has all peers has the usual ones; who has the usual ones lacks the others."""
    (environment.FOLDER).mkdir(parents=True)
    environment.PYTHON.touch()
    environment.prepare(with_more=False)
    environment.prepare(with_more=True)
    environment.prepare(with_more=False)
    assert [call[-1].rpartition("/")[2] for call in installs] == ["requirements.txt", "more.txt"]


def test_programs_get_a_clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of ours reaches a peer, and Fairlead comes from the working tree."""
    monkeypatch.setenv("FAIRLEAD_ACCESS_LOG", "true")
    monkeypatch.setenv("SANIC_ACCESS_LOG", "true")
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    variables = environment.variables()
    assert not [name for name in variables if name.startswith(("FAIRLEAD_", "SANIC_", "PYTHONASYNCIO"))]
    assert str(environment.SOURCE) in variables["PYTHONPATH"]


def test_versions_are_those_of_the_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is installed is named; what isn't, isn't."""
    monkeypatch.setattr(environment, "PYTHON", sys.executable)
    versions = environment.versions({"uvloop", "no-such-package"})
    assert set(versions) == {"python", "uvloop", "fairlead"}
