"""A log configuration of one's own replaces all of ours (mission T9)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fairlead import App
from fairlead.config import Config
from fairlead.errors import ConfigurationError
from fairlead.workers.configuration import configure_app_logs, configure_logs

OWN: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request": {"()": "fairlead.telemetry.context.RequestContext"}},
    "formatters": {
        "own": {"format": '{"own": "%(name)s", "event": "%(message)s", "request_id": "%(request_id)s"}'},
    },
    "handlers": {
        "out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "own", "filters": ["request"]}
    },
    "root": {"handlers": ["out"], "level": "INFO"},
}


async def test_an_application_brings_its_own(start: Any) -> None:
    """`App(log_config=…)`: the worker's lines, the access log's included, have the form that it asks for."""
    code = f"""
from fairlead import App
from fairlead.response import text

app = App("tested", log_config={OWN!r})

@app.get("/")
async def hello(request):
    return text("hello")
"""
    service = await (await start("--access-log", code=code)).ready()
    assert await service.get("/") == (200, "hello")
    line = await service.event("request", own="fairlead.access")
    assert line["request_id"]


async def test_a_file_is_for_every_process(start: Any, tmp_path: Path) -> None:
    """`FAIRLEAD_LOG_CONFIG` names a JSON file: the supervisor's lines follow it as well, and it is stronger than the app's."""
    path = tmp_path / "logs.json"
    path.write_text(json.dumps(OWN))
    service = await start(FAIRLEAD_LOG_CONFIG=str(path))
    line = await service.event("service is ready")
    assert line["own"] == "fairlead.workers"


@pytest.mark.parametrize("content", [None, "[]", "{", '{"version": 1, "root": {"handlers": ["none"]}}'])
def test_what_is_no_configuration_is_one_clear_error(content: str | None, tmp_path: Path, loggers: None) -> None:
    """A file that is missing, no JSON object, or refused by `logging` ends the start (K7)."""
    path = tmp_path / "logs.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError):
        configure_logs(Config({"LOG_CONFIG": str(path)}), "tested")


def test_an_application_without_one_keeps_the_stream(loggers: None) -> None:
    """Nothing is set up twice."""
    stream = configure_logs(Config(), "tested")
    assert configure_app_logs(stream, App("tested")) is stream
