"""The fuzzer itself: its cases can be made again, and it finds what is there to be found."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from tests.fuzz.mutation import mutated, packets
from tests.fuzz.seeds import SEEDS

ROOT = Path(__file__).parents[2]
FAULTY = """
from tests.fuzz.target import app

@app.on_request
def fail(request):
    if b"=" in request.target:
        raise RuntimeError("planted")
"""


@pytest.mark.parametrize("protocol", list(SEEDS))
def test_cases_can_be_made_again(protocol: str) -> None:
    """The same seed gives the same packets, which are all of the bytes, in order."""
    conversations = SEEDS[protocol]()
    assert conversations == SEEDS[protocol]()
    for seed in range(200):
        changed = [mutated(Random(seed), Random(seed).choice(conversations), conversations) for _ in range(2)]
        assert changed[0] == changed[1]
        assert b"".join(packets(Random(seed), changed[0])) == b"".join(changed[0])


def run(*options: str, folder: Path = ROOT) -> tuple[int, str]:
    """`python -m tests.fuzz …`: its status, and what it prints."""
    command = (sys.executable, "-m", "tests.fuzz", "--seed", "1", *options)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.deadline(120)
def test_nothing_breaks() -> None:
    """A second of it, so that the fuzzer goes on working; `make fuzz` takes longer."""
    status, shown = run("--seconds", "1")
    assert (status, shown.splitlines()[-1]) == (0, "nothing broke"), shown


@pytest.mark.deadline(120)
def test_what_breaks_is_found(tmp_path: Path) -> None:
    """The case is named, cut down to what it takes, and printed as bytes."""
    (tmp_path / "faulty.py").write_text(FAULTY)
    status, shown = run("--seconds", "60", "--protocols", "http1", "--target", "faulty", folder=tmp_path)
    assert status == 1
    assert "planted" in shown
    found = re.search(r"✗ http1 \d+ of seed 1: .*\n  as packets: (.*)", shown)
    assert found is not None, shown
    assert "=" in found[1]
    assert len(found[1]) < 80
