"""What is done when a library is imported, and not before."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead.telemetry.arrival import when_imported

NAME = "a_library_that_arrives"


@pytest.fixture(autouse=True)
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Something that can be imported."""
    (tmp_path / f"{NAME}.py").write_text("is_whole = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    finders = list(sys.meta_path)
    yield
    sys.meta_path[:] = finders
    sys.modules.pop(NAME, None)


def test_once_and_when_the_module_is_whole() -> None:
    """The callback sees the finished module; its loader is the real one again."""
    seen: list[object] = []
    when_imported(NAME, lambda: seen.append(sys.modules[NAME].is_whole))
    assert seen == []
    module = __import__(NAME)
    __import__(NAME)
    assert seen == [True]
    assert type(module.__loader__).__name__ == type(module.__spec__.loader).__name__ == "SourceFileLoader"


def test_what_is_there_already() -> None:
    """Nothing to wait for."""
    seen: list[str] = []
    __import__(NAME)
    when_imported(NAME, lambda: seen.append("now"))
    assert seen == ["now"]


def test_the_last_word_counts() -> None:
    """Logs that are set up anew replace what was waiting."""
    seen: list[str] = []
    when_imported(NAME, lambda: seen.append("first"))
    when_imported(NAME, lambda: seen.append("second"))
    __import__(NAME)
    assert seen == ["second"]


def test_a_library_that_is_not_there() -> None:
    """The import fails as it would have."""
    when_imported("a_library_that_never_arrives", pytest.fail)
    with pytest.raises(ModuleNotFoundError, match="a_library_that_never_arrives"):
        __import__("a_library_that_never_arrives")


def test_structlog_is_not_loaded_for_those_who_do_not_use_it() -> None:
    """K10: a worker that logs by the standard library loads no structlog; one that imports it later logs into the stream."""
    code = """
import sys
from fairlead.telemetry.logging import configure
stream = configure(service="shop", format="json")
assert "structlog" not in sys.modules
import structlog
structlog.get_logger("shop").info("arrived", late=True)
stream.flush()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert '"event":"arrived"' in done.stdout
    assert '"late":true' in done.stdout
