"""Defaults, environment, options: which is stronger, and what is refused (mission K7)."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from fairlead import App
from fairlead.errors import ConfigurationError
from fairlead.telemetry.logging import LineHandler
from fairlead.workers.configuration import apply_options, configure_logs, options_from, settle_config


def test_keywords_become_configuration() -> None:
    """None is "not given", so that a command line can pass on all that it knows."""
    assert options_from({"host": "::1", "port": 0, "workers": None, "debug": False}) == {
        "HOST": "::1",
        "PORT": 0,
        "DEBUG": False,
    }


def test_a_keyword_that_means_nothing() -> None:
    """A typing error in `app.run(prot=…)` does not pass for an option."""
    with pytest.raises(TypeError, match="no option 'prot', 'tls'"):
        options_from({"prot": 1, "tls": None, "port": 2})


def test_options_are_stronger_than_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """K7: whoever types a command means it."""
    monkeypatch.setenv("FAIRLEAD_PORT", "8001")
    monkeypatch.setenv("FAIRLEAD_DRAIN_DELAY", "5")
    config = settle_config({"PORT": 8002})
    assert (config.PORT, config.DRAIN_DELAY, config.HOST) == (8002, 5.0, "127.0.0.1")


def test_the_environment_is_stronger_than_the_apps_own_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """K7: an image is configured by whoever runs it."""
    monkeypatch.setenv("FAIRLEAD_KEEP_ALIVE_TIMEOUT", "20")
    app = App("shop", {"KEEP_ALIVE_TIMEOUT": 10, "REQUEST_TIMEOUT": 11, "RESPONSE_TIMEOUT": 12, "SHOP": "own"})
    apply_options(app, {"REQUEST_TIMEOUT": 21})
    config = app.config
    assert (config.KEEP_ALIVE_TIMEOUT, config.REQUEST_TIMEOUT, config.RESPONSE_TIMEOUT) == (20.0, 21.0, 12.0)
    assert config.SHOP == "own"


@pytest.mark.parametrize("name", ["FAIRLEAD_PROT", "FAIRLEAD_PORT"])
def test_unknown_and_malformed_values_are_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """K7: in the supervisor as in the worker."""
    monkeypatch.setenv(name, "eighty")
    with pytest.raises(ConfigurationError, match=name):
        settle_config({})
    with pytest.raises(ConfigurationError, match=name):
        apply_options(App("shop"), {})


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """The root logger, put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.mark.parametrize(
    ("options", "level"),
    [({}, logging.INFO), ({"LOG_LEVEL": "WARNING"}, logging.WARNING), ({"DEBUG": True}, logging.DEBUG)],
)
def test_logs_follow_the_configuration(root_logger: logging.Logger, options: dict[str, object], level: int) -> None:
    """T9, K10: format, level, and who speaks."""
    stream = configure_logs(settle_config({"LOG_FORMAT": "json", **options}), "shop", worker=3)
    assert (stream.format, root_logger.level) == ("json", level)
    assert (stream.identity["service"], stream.identity["worker"]) == ("shop", 3)
    assert any(isinstance(handler, LineHandler) for handler in root_logger.handlers)
