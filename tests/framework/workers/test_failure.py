"""What is said of a start that failed (missions K3, K7)."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairlead.errors import ConfigurationError
from fairlead.workers.failure import describe_failure, one_line, short_traceback
from fairlead.workers.messages import Changed, WorkerState
from fairlead.workers.target import check_target, load_target


def test_wrong_configuration_is_one_line_without_a_traceback() -> None:
    """K7: all problems, exit status 2."""
    failure = describe_failure(ConfigurationError("A is not set", "B is\nodd"), "shop:app")
    assert failure == Changed(WorkerState.FAILED, cause="A is not set; B is odd", exit_status=2)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (RuntimeError("no\n route"), "shop:app cannot start: RuntimeError: no route"),
        (RuntimeError(), "shop:app cannot start: RuntimeError"),
        (KeyError("NAME"), "shop:app cannot start: KeyError: 'NAME'"),
    ],
)
def test_anything_else_is_named(error: Exception, cause: str) -> None:
    """K3: type and text in one line, exit status 1."""
    failure = describe_failure(error, "shop:app")
    assert (failure.cause, failure.exit_status) == (cause, 1)
    assert type(error).__name__ in failure.detail


def test_a_text_becomes_one_line() -> None:
    """Logs and stderr count lines."""
    assert one_line(ValueError(" a\r\n\tb  c ")) == "a b c"


def test_the_traceback_shows_the_services_code_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """K3: neither our own frames nor those of the import system."""
    (tmp_path / "module_that_fails.py").write_text("def connect():\n    raise OSError('away')\nconnect()\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(OSError, match="away") as caught:
        load_target("module_that_fails:app")
    text = short_traceback(caught.value)
    assert "importlib" not in text
    assert "fairlead" not in text
    assert text.count("module_that_fails.py") == 2
    assert text.endswith("OSError: away")


def test_code_that_is_no_python_is_shown_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """K3: no frame of its own has run; the error names the line."""
    (tmp_path / "module_with_a_slip.py").write_text("def connect(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SyntaxError) as caught:
        load_target("module_with_a_slip:app")
    caught.value.__traceback__ = (
        caught.value.__traceback__.tb_next if caught.value.__traceback__ else None
    )  # without this test's own
    lines = short_traceback(caught.value).splitlines()
    assert (lines[0].split(",")[0], lines[1], lines[-1]) == (
        f'  File "{tmp_path}/module_with_a_slip.py"',
        "    def connect(:",
        "SyntaxError: invalid syntax",
    )


def test_a_traceback_of_ours_alone_is_shown_whole() -> None:
    """K3: better too much than nothing."""
    with pytest.raises(ConfigurationError) as caught:
        check_target("")
    error = caught.value
    error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None  # without this test's own frame
    assert "in check_target" in short_traceback(error)
