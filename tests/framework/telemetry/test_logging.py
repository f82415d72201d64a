"""fairlead.telemetry.logging and structured: structlog and the standard library in one stream."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from fairlead.errors import ConfigurationError
from fairlead.request import Request
from fairlead.telemetry.logging import JsonFormatter, LineHandler, LogStream, configure, event_of
from fairlead.telemetry.structured import join

from .conftest import MakeRequest, Recorded

pytestmark = pytest.mark.usefixtures("loggers")


def _lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_both_libraries_write_one_stream(capfd: pytest.CaptureFixture[str]) -> None:
    """structlog's events and the standard library's records have one schema, in the order of the calls (K10)."""
    stream = configure(service="catalog", version="26.11.0", worker=1, format="json")
    structlog.get_logger("catalog.prices").info("price changed", sku="A1")
    logging.getLogger("asyncpg.pool").warning("pool of %d is exhausted", 10, extra={"waiting": 3})
    assert stream.flush(10)
    first, second = _lines(capfd.readouterr().out)
    common = {"service": "catalog", "version": "26.11.0", "worker": 1, "pid": os.getpid()}
    for line in (first, second):
        assert line.pop("timestamp").endswith("Z")
    assert first == {"level": "info", "event": "price changed", "logger": "catalog.prices", **common, "sku": "A1"}
    assert second == {
        "level": "warning",
        "event": "pool of 10 is exhausted",
        "logger": "asyncpg.pool",
        **common,
        "waiting": 3,
    }


def test_every_line_of_a_request_carries_its_id(
    capfd: pytest.CaptureFixture[str], make_request: MakeRequest, handling: Callable[[Request[Any, Any]], None]
) -> None:
    """A handler's logger and a third party's alike (T9)."""
    stream = configure(service="catalog", format="json")
    handling(make_request(headers={"X-Request-ID": "abc-1"}))
    structlog.get_logger().info("mine")
    logging.getLogger("third.party").info("theirs")
    assert stream.flush(10)
    assert [line["request_id"] for line in _lines(capfd.readouterr().out)] == ["abc-1", "abc-1"]


def test_the_level_holds_for_both(capfd: pytest.CaptureFixture[str]) -> None:
    """What is below the level is not written; its spelling doesn't matter."""
    stream = configure(service="catalog", format="json", level="WARNING")
    structlog.get_logger("a").info("too low")
    logging.getLogger("b").info("too low")
    structlog.get_logger("a").warning("shown")
    logging.getLogger("b").warning("shown")
    assert stream.flush(10)
    assert [line["event"] for line in _lines(capfd.readouterr().out)] == ["shown", "shown"]


def test_talkative_third_parties_are_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    """httpx logs each request at info: that is no news; its warnings are."""
    stream = configure(service="catalog", format="json")
    logging.getLogger("httpx").info("HTTP Request: GET …")
    logging.getLogger("httpx").warning("odd")
    assert stream.flush(10)
    assert [line["event"] for line in _lines(capfd.readouterr().out)] == ["odd"]


def test_python_warnings_are_events(capfd: pytest.CaptureFixture[str]) -> None:
    """`warnings.warn` goes to the stream, too."""
    stream = configure(service="catalog", format="json")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old name", DeprecationWarning, stacklevel=1)
    assert stream.flush(10)
    (line,) = _lines(capfd.readouterr().out)
    assert line["logger"] == "py.warnings"
    assert "old name" in line["event"]


def test_configuring_again_replaces(capfd: pytest.CaptureFixture[str]) -> None:
    """A second call takes the place of the first: no line comes twice."""
    configure(service="first", format="json")
    stream = configure(service="second", format="json")
    logging.getLogger("x").info("once")
    assert stream.flush(10)
    assert [line["service"] for line in _lines(capfd.readouterr().out)] == ["second"]


def test_without_a_terminal_it_is_json(capfd: pytest.CaptureFixture[str]) -> None:
    """In a container stdout is a pipe: JSON, unless said otherwise."""
    assert configure(service="catalog").format == "json"
    assert configure(service="catalog", format="auto").format == "json"
    assert configure(service="catalog", format="console").format == "console"


def test_in_a_terminal_it_is_text() -> None:
    """A program on a pseudo-terminal writes for people, in colours unless NO_COLOR is set."""
    program = (
        "import logging; from fairlead.telemetry.logging import configure;"
        "configure(service='catalog'); logging.getLogger('x').info('hello')"
    )
    assert b"\x1b[32minfo" in _on_a_terminal(program, {})
    plain = _on_a_terminal(program, {"NO_COLOR": "1"})
    assert b"info     hello (x)" in plain
    assert b"\x1b" not in plain


def _on_a_terminal(program: str, environment: dict[str, str]) -> bytes:
    leader, follower = os.openpty()
    inherited = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=follower, env={**inherited, **environment}, timeout=60, check=True
    )
    os.close(follower)
    with os.fdopen(leader, "rb", buffering=0) as terminal:
        assert done.returncode == 0
        return terminal.read(65536)


@pytest.mark.parametrize("options", [{"format": "xml"}, {"level": "loud"}])
def test_unknown_settings_are_configuration_errors(options: dict[str, str]) -> None:
    """One clear line at start (K7)."""
    with pytest.raises(ConfigurationError, match="LOG_"):
        configure(service="catalog", **options)  # type: ignore[arg-type]


def test_lines_are_written_at_exit() -> None:
    """A program that ends right after logging loses nothing."""
    program = (
        "import logging; from fairlead.telemetry.logging import configure;"
        "configure(service='catalog'); logging.getLogger('x').info('good-bye')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=True)
    assert json.loads(done.stdout)["event"] == "good-bye"
    assert done.stderr == b""


def test_without_structlog_the_standard_library_is_joined() -> None:
    """The extra is optional: all but structlog's own loggers works without it."""
    program = (
        "import sys; sys.modules['structlog'] = None\n"
        "import logging; from fairlead.telemetry.logging import configure\n"
        "configure(service='catalog'); logging.getLogger('x').info('plain')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=True)
    assert json.loads(done.stdout)["event"] == "plain"


def test_structlog_is_not_touched_where_it_is_missing(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The module that imports it is only loaded when somebody else has imported it."""
    monkeypatch.setitem(sys.modules, "structlog", None)
    structlog.reset_defaults()
    stream = configure(service="catalog", format="json")
    logging.getLogger("x").info("plain")
    assert stream.flush(10)
    assert not structlog.is_configured()
    assert [line["event"] for line in _lines(capfd.readouterr().out)] == ["plain"]


@pytest.mark.parametrize(
    ("config", "cause"),
    [
        ({"version": 2}, "Unsupported version"),
        ({"version": 1, "handlers": {"out": {"class": "no.such.Handler"}}}, "No module named 'no'"),
    ],
)
def test_a_refused_dict_configuration_says_why(config: dict[str, Any], cause: str) -> None:
    """One clear line at start, with what lies behind it (K7)."""
    with pytest.raises(ConfigurationError, match=f"the log configuration is refused: .*{cause}"):
        configure(service="catalog", dict_config=config)


def test_a_dict_configuration_replaces_everything(capfd: pytest.CaptureFixture[str]) -> None:
    """Handlers, formats and levels are those of the configuration, for structlog as well (T9)."""
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request": {"()": "fairlead.telemetry.context.RequestContext"}},
        "formatters": {
            "own": {"format": "own %(name)s %(message)s [%(request_id)s]"},
            "json": {"()": "fairlead.telemetry.logging.JsonFormatter", "service": "catalog"},
        },
        "handlers": {
            "out": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": "own",
                "filters": ["request"],
            },
            "json": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"},
        },
        "root": {"level": "INFO", "handlers": ["out", "json"]},
    }
    stream = configure(service="catalog", dict_config=config)
    structlog.get_logger("mine").info("hello", sku="A1")
    logging.getLogger("theirs").debug("too low")
    assert stream.writer is None
    stream.close()
    own, line = capfd.readouterr().out.splitlines()
    assert own == "own mine hello []"
    assert json.loads(line)["sku"] == "A1"
    assert json.loads(line)["service"] == "catalog"


def test_loggers_that_were_made_earlier_follow(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """A module's logger, used under one configuration, writes to the stream of the next, and to a dict configuration's handlers."""
    configure(service="first", format="json")
    log = structlog.get_logger("kept").bind()
    log.info("one")
    stream = configure(service="second", format="json")
    log.info("two")
    assert stream.flush(10)
    assert [(line["service"], line["event"]) for line in _lines(capfd.readouterr().out)] == [("first", "one"), ("second", "two")]
    configure(service="third", dict_config={"version": 1, "incremental": True})
    with caplog.at_level(logging.INFO):
        try:
            raise ValueError("no")
        except ValueError:
            log.exception("three", name="collides", stack_info=True)
    (record,) = caplog.records
    assert (record.name, record.levelname, record.getMessage()) == ("kept", "ERROR", "three")
    assert record.exc_info is not None
    assert vars(record)["name_"] == "collides"
    assert "test_loggers_that_were_made_earlier_follow" in vars(record)["stack"]


def test_errors_of_structlog(json_log: Recorded) -> None:
    """`exception` inside an except block, an exception as `exc_info`, and a stack on request."""
    join(json_log.stream, logging.DEBUG)
    log = structlog.get_logger("x")
    try:
        raise ValueError("no")
    except ValueError as error:
        log.exception("failed")
        kept = error
    log.warning("failed later", exc_info=kept)
    log.warning("failed later", exc_info=(ValueError, kept, None))
    log.debug("where", stack_info=True)
    log.warning("nothing", exc_info=(None, None, None))
    first, second, third, where, nothing = json_log.lines()
    assert first["level"] == "error"
    for line in (first, second, third):
        assert (line["exception"]["type"], line["exception"]["message"]) == ("ValueError", "no")
    assert "test_errors_of_structlog" in where["stack"]
    assert "structured.py" not in where["stack"]
    assert "exception" not in nothing


def test_bound_fields_are_on_the_line(json_log: Recorded) -> None:
    """Fields bound to a logger, to the context, and arguments for the message."""
    join(json_log.stream, logging.INFO)
    log = structlog.get_logger("x").bind(sku="A1")
    with structlog.contextvars.bound_contextvars(job="import"):
        log.info("%d of %d", 1, 2)
    log.critical("done")
    first, second = json_log.lines()
    assert (first["event"], first["sku"], first["job"]) == ("1 of 2", "A1", "import")
    assert second["level"] == "critical"
    assert "job" not in second


def test_arguments_that_do_not_fit(json_log: Recorded) -> None:
    """A wrong number of arguments is shown, not raised."""
    handler = LineHandler(json_log.stream)
    handler.handle(logging.makeLogRecord({"name": "x", "msg": "%d of %d", "args": (1,), "levelno": 10}))
    handler.flush()
    (line,) = json_log.lines()
    assert line["event"] == "%d of %d (1,)"
    assert line["level"] == "debug"


def test_a_failing_stream_does_not_reach_the_caller(
    json_log: Recorded, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log call never raises; the standard library reports on stderr."""

    def fail(stream: LogStream, event: object) -> None:
        raise RuntimeError("broken stream")

    monkeypatch.setattr(LogStream, "emit", fail)
    LineHandler(json_log.stream).handle(logging.makeLogRecord({"name": "x", "msg": "y", "levelno": 20}))
    assert "broken stream" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "name"), [(5, "debug"), (10, "debug"), (25, "info"), (30, "warning"), (40, "error"), (50, "critical")]
)
def test_levels_in_between(number: int, name: str) -> None:
    """A level of one's own takes the name of the next lower one."""
    assert event_of(logging.makeLogRecord({"levelno": number, "msg": ""})).level == name


def test_exceptions_of_the_standard_library(json_log: Recorded) -> None:
    """`exc_info` of a record becomes the exception field."""
    try:
        raise ValueError("no")
    except ValueError:
        record = logging.makeLogRecord({"name": "x", "msg": "failed", "levelno": 40, "exc_info": sys.exc_info()})
    assert json.loads(JsonFormatter(service="x").format(record))["exception"]["message"] == "no"


def test_dropped_lines_are_a_metric(json_log: Recorded) -> None:
    """The stream is a collector: what stdout didn't take is counted."""
    assert json_log.stream.writer is not None
    json_log.stream.writer.close(10)
    json_log.stream.writer.write(b"late\n")
    assert json_log.stream.collect()["fairlead_log_lines_dropped_total"]["series"] == [([], 1)]


def test_dropped_lines_are_told(capfd: pytest.CaptureFixture[str]) -> None:
    """When lines flow again, one of them says how many are missing."""
    stream = configure(service="catalog", format="json")
    assert stream.writer is not None
    stream.writer._drop(b"\n" * 7)
    logging.getLogger("x").info("flows again")
    assert stream.flush(10)
    _, notice = _lines(capfd.readouterr().out)
    assert (notice["event"], notice["dropped"], notice["service"]) == ("log lines were dropped", 7, "catalog")


def test_a_replaced_stdout_is_no_obstacle(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Where sys.stdout has no descriptor, descriptor 1 is used."""
    monkeypatch.setattr(sys, "stdout", None)
    stream = configure(service="catalog", format="json")
    assert stream.flush(10)
