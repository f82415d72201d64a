"""Where the configuration of a process comes from: defaults, then the environment, then what `serve` was given.

Supervisor and workers each read it for themselves, from the same environment and the same options, so they agree. An app
brings defaults of its own (`App("shop", {"KEEP_ALIVE": False})`); environment and options are stronger, because whoever
starts a service knows better where it runs than who wrote it. A supervisor can't see those defaults: where to listen and
how many workers there are is not for an app to say.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from fairlead.app import App
from fairlead.config import DEFAULTS, PREFIX, Config
from fairlead.errors import ConfigurationError
from fairlead.telemetry.logging import LogStream, configure
from fairlead.workers.tls import settings_of

__all__ = ["apply_options", "configure_app_logs", "configure_logs", "options_from", "settle_config"]


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


def configure_logs(
    config: Config, service: str, worker: int | None = None, *, log_config: Mapping[str, Any] | None = None
) -> LogStream:
    """Set up the logs of this process, before anything is imported that may log.

    A dict configuration replaces everything: the file that `LOG_CONFIG` names, or else an application's `log_config`. Raises
    `ConfigurationError` for one that can't be read or is refused.
    """
    return configure(
        service=service,
        version=config.SERVICE_VERSION,
        worker=worker,
        format=config.LOG_FORMAT,
        level="DEBUG" if config.DEBUG else config.LOG_LEVEL,
        flood_limit=config.LOG_FLOOD_LIMIT,
        dict_config=_read(config.LOG_CONFIG) if config.LOG_CONFIG else log_config,
    )


def configure_app_logs(stream: LogStream, app: App[Any, Any]) -> LogStream:
    """The stream that an app which was loaded just now wants: the one that there is, unless it has a `log_config`."""
    if app.log_config is None or app.config.LOG_CONFIG:
        return stream
    identity = stream.identity
    return configure_logs(app.config, identity["service"], identity.get("worker"), log_config=app.log_config)


def _read(path: str) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(Path(path).read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise ConfigurationError(f"{PREFIX}LOG_CONFIG: the file {path} can't be read: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"{PREFIX}LOG_CONFIG: {path} is no JSON object: {error}") from None
    return document
