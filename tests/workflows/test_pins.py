"""Every action is pinned by its commit, with the version beside it; every job asks for as little as it needs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

WORKFLOWS = sorted((Path(__file__).parents[2] / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_pinned(file: Path) -> None:
    """A commit can't be moved to another program, a tag can; one action has one commit in all workflows."""
    used = re.findall(r"uses: (\S+)(.*)", file.read_text())
    for action, comment in used:
        assert re.fullmatch(r"[\w.-]+(/[\w.-]+)+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action


def test_one_commit_for_an_action() -> None:
    """The same action at the same commit everywhere."""
    used = {action for file in WORKFLOWS for action in re.findall(r"uses: (\S+)", file.read_text())}
    assert len(used) == len({action.partition("@")[0] for action in used})


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_least_privilege(file: Path) -> None:
    """Nothing by default; each job says what it needs, and has a time limit."""
    workflow: dict[str, Any] = yaml.safe_load(file.read_text())
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert job["permissions"], name
        assert job["timeout-minutes"] <= 120, name
