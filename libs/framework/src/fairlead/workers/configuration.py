"""Where the configuration of a process comes from: defaults, then the environment, then what `serve` was given.

Supervisor and workers each read it for themselves, from the same environment and the same options, so they agree. An app
brings defaults of its own (`App("shop", {"KEEP_ALIVE": False})`); environment and options are stronger, because whoever
starts a service knows better where it runs than who wrote it. A supervisor can't see those defaults: where to listen and
how many workers there are is not for an app to say.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from fairlead.app import App
from fairlead.config import DEFAULTS, Config
from fairlead.telemetry.logging import LogStream, configure
from fairlead.workers.tls import settings_of

__all__ = ["apply_options", "configure_logs", "options_from", "settle_config"]


def options_from(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords of `serve` (`host`, `drain_delay`, …) as configuration; None means "not given".

    Raises TypeError for a keyword that is no key of the framework's configuration, nor Sanic's `ssl`.
    """
    keywords = dict(keywords)
    ssl = keywords.pop("ssl", None)
    unknown = sorted(name for name in keywords if name.upper() not in DEFAULTS)
    if unknown:
        raise TypeError(f"serve() has no option {', '.join(map(repr, unknown))}")
    settings = {name.upper(): value for name, value in keywords.items() if value is not None}
    return settings if ssl is None else {**settings_of(ssl), **settings}


def settle_config(options: Mapping[str, Any]) -> Config:
    """The configuration of a process that has no app. Raises `ConfigurationError`."""
    config = Config.from_environment()
    config.update(options)
    return config


def apply_options(app: App[Any, Any], options: Mapping[str, Any]) -> None:
    """Let environment and options have the last word on an app's configuration. Raises `ConfigurationError`."""
    app.config.load_environment(os.environ)
    app.config.update(options)


def configure_logs(config: Config, service: str, worker: int | None = None) -> LogStream:
    """Set up the logs of this process, before anything is imported that may log."""
    return configure(
        service=service,
        worker=worker,
        format=config.LOG_FORMAT,
        level="DEBUG" if config.DEBUG else config.LOG_LEVEL,
    )
