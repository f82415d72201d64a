"""The chapters of the guide hold on Sanic itself: what tests/framework/guide asks of Fairlead is what Sanic does."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.framework.parity.environment import ROOT, run, sanic_python

OPTIONS = "-q --import-mode=importlib -p no:cacheprovider --noconftest"


@pytest.mark.deadline(300)
def test_the_chapters_pass_on_sanic(tmp_path: Path) -> None:
    """The same modules, with only the import changed (see guide/framework.py); a skip of theirs says where Sanic is wrong."""
    (tmp_path / "pytest.ini").write_text(f"[pytest]\naddopts = {OPTIONS}\npythonpath = {ROOT}\n")
    environ = {**os.environ, "GUIDE_ON": "sanic", "PYTHONDONTWRITEBYTECODE": "1"}
    words = ("-m", "pytest", "-c", tmp_path / "pytest.ini", "--rootdir", ROOT, ROOT / "tests/framework/guide")
    result = run(sanic_python(), *words, check=False, environ=environ, cwd=tmp_path)
    assert result.returncode == 0, result.stdout[-8000:] + result.stderr[-2000:]
    found = re.search(r"(\d+) passed", result.stdout)
    assert found is not None
    assert int(found[1]) > 150
