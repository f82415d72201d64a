"""What mypy and pyright, both strict, know of programs that use the framework (issue 3, typing).

Each file in `cases` holds expressions in `reveal_type(…)` and, behind each, the type that both are to see. The files are free of
errors, too: what a user writes in the documented way needs no ignore and no cast.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).parent / "cases"
ROOT = Path(__file__).resolve().parents[3]
Revealed = dict[tuple[str, int], str]

pytestmark = pytest.mark.deadline(240)


def expected() -> Revealed:
    """(file, line) → type, as the cases say."""
    found: Revealed = {}
    for file in sorted(CASES.glob("*.py")):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if "reveal_type(" in line:
                found[file.name, number] = line.rpartition("  # ")[2]
    return found


def normal(text: str) -> str:
    """A type without the modules of its names, in one notation for functions."""
    plain = re.sub(r"\b(?:\w+\.)+(?=\w)", "", text).removeprefix("def ")
    return plain.replace("CoroutineType[", "Coroutine[")


def run(*command: str) -> str:
    result = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False, cwd=CASES)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_mypy() -> None:
    """mypy --strict sees the types that the cases say."""
    output = run("mypy", "--strict", "--no-error-summary", "--cache-dir", str(ROOT / ".mypy_cache" / "cases"), ".")
    revealed = {
        (Path(file).name, int(line)): normal(kind)
        for file, line, kind in re.findall(r"^(.+?):(\d+): note: Revealed type is \"(.*)\"$", output, re.MULTILINE)
    }
    assert revealed == expected()


def test_pyright() -> None:
    """pyright in strict mode sees the same."""
    output = run("pyright", "--outputjson", "--project", str(CASES.parent), "--pythonpath", sys.executable)
    revealed: Revealed = {}
    for found in json.loads(output)["generalDiagnostics"]:
        told = re.fullmatch(r'Type of ".*" is "(.*)"', found["message"], re.DOTALL)
        assert told is not None, found
        revealed[Path(found["file"]).name, found["range"]["start"]["line"] + 1] = normal(told[1])
    assert revealed == expected()
