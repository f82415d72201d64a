"""The limit of open files: as high as the operator has granted."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
from fairlead.workers.open_files import raise_open_files_limit
raise_open_files_limit()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(("soft", "hard"), [(64, 256), (256, 256)])
def test_the_soft_limit_is_raised_to_the_hard_one(soft: int, hard: int) -> None:
    """And no further; one that is there already stays."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(soft=soft, hard=hard)], capture_output=True, text=True, check=False
    )
    assert (result.stdout.split(), result.stderr) == ([str(hard)] * 2, "")
