"""How a worker's process is started: the interpreter's options reach the service's code."""

from __future__ import annotations

import subprocess
import sys

import pytest

QUESTION = "import subprocess; from fairlead.workers.process import _interpreter; subprocess.run([*_interpreter(), '-c', {!r}])"
ANSWER = "import sys; print(sys.flags.optimize, sys.flags.dev_mode, sys.warnoptions)"


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ([], "0 False []"),
        (["-O"], "1 False []"),
        (["-OO"], "2 False []"),
        (["-W", "error::BytesWarning"], "0 False ['error::BytesWarning']"),
        (["-X", "dev"], "0 True ['default']"),
    ],
)
def test_workers_have_the_supervisors_options(options: list[str], seen: str) -> None:
    """Without docstrings, with warnings, in development mode: as the supervisor was started."""
    done = subprocess.run([sys.executable, *options, "-c", QUESTION.format(ANSWER)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == seen
