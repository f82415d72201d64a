"""The framework's own configuration: dict-like, by attribute, typed, and read from several sources.

Every key is listed in `DEFAULTS` with its type, so that an unknown or malformed value is found when the process starts
(`ConfigurationError`, exit 2) and not when it is first used. Keys of the application's own are free: they are set by code, files
or `update`, and are never taken from the `FAIRLEAD_` environment, where a typing error would otherwise pass for one.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from fairlead.errors import ConfigurationError
from fairlead.http.limits import FormLimits, Limits

PREFIX = "FAIRLEAD_"

DEFAULTS: dict[str, Any] = {
    # What to serve: `module:name`, where the command line names none
    "TARGET": "",
    # Where to listen
    "HOST": "127.0.0.1",
    "PORT": 8000,
    "MANAGEMENT_HOST": "127.0.0.1",
    "MANAGEMENT_PORT": 9000,
    "MANAGEMENT_SOCKET": "",  # path of the unix socket; "": one in a private folder, named after the management port
    "BACKLOG": 2048,
    # Processes
    "WORKERS": 0,  # 0: from the CPU quota; 1 without one
    "WORKER_MAX_REQUESTS": 0,  # a worker that has answered so many is replaced; 0: never
    "WORKER_MAX_AGE": 0.0,  # seconds
    "WORKER_MAX_MEMORY": 0,  # MiB resident
    "SINGLE_PROCESS": False,
    "WORKER_START_TIMEOUT": 60.0,
    "WORKER_HEARTBEAT_TIMEOUT": 30.0,
    "BLOCKED_LOOP_THRESHOLD": 1.0,
    "DRAIN_DELAY": 0.0,
    "GRACEFUL_SHUTDOWN_TIMEOUT": 15.0,
    "WEBSOCKET_DRAIN_JITTER": 1.0,
    # HTTP/2, over TLS by ALPN and in clear text by prior knowledge; needs fairlead[http2]
    "HTTP2": False,
    "HTTP2_MAX_STREAMS": 100,  # of one connection, at once
    # TLS: certificate and key in PEM, or folders that hold them; several are chosen from by name (SNI)
    "TLS_CERT": "",
    "TLS_KEY": "",
    "TLS_KEY_PASSWORD": None,
    "TLS_DIRECTORIES": (),
    "TLS_STRICT_HOST": False,  # refuse clients that ask for no name of a certificate
    "TLS_MIN_VERSION": "1.2",
    "TLS_RELOAD_INTERVAL": 60.0,  # seconds between two looks for renewed files; 0: none
    "TLS_HANDSHAKE_TIMEOUT": 10.0,
    # Limits of a connection; see fairlead.http.limits
    "REQUEST_MAX_SIZE": 10_000_000,
    "UPLOAD_MAX_SIZE": None,  # of streamed bodies; None: as REQUEST_MAX_SIZE
    "REQUEST_MAX_URL_SIZE": 8192,
    "REQUEST_MAX_HEADER_SIZE": 16_384,
    "REQUEST_MAX_HEADERS": 100,
    "FIRST_BYTE_TIMEOUT": 10.0,
    "REQUEST_TIMEOUT": 60.0,
    "REQUEST_MIN_RATE": 240,  # bytes a second; 0: any
    "REQUEST_HEADER_TIMEOUT": 10.0,
    "RESPONSE_TIMEOUT": 60.0,
    "KEEP_ALIVE": True,
    "KEEP_ALIVE_TIMEOUT": 75.0,
    "WRITE_TIMEOUT": 60.0,
    "RESPONSE_MIN_RATE": 240,  # bytes a second that a peer must take; 0: any
    "MAX_CONNECTIONS": 0,  # 0: what the file descriptors allow
    "MAX_CONNECTIONS_PER_PEER": 0,  # 0: no limit
    "PIPELINE_MAX_SIZE": 65_536,
    # Limits of a multipart form; see fairlead.http.limits
    "FORM_MAX_PARTS": 1000,
    "FORM_MAX_PART_HEADERS": 8,
    "FORM_MAX_HEADER_SIZE": 4096,
    "FORM_MAX_FIELD_SIZE": 1_048_576,
    "FORM_MAX_FILE_SIZE": 0,  # 0: as much as the body may have
    "FORM_MAX_MEMORY_SIZE": 8_388_608,
    "FORM_SPOOL_SIZE": 262_144,
    # Websockets
    "WEBSOCKET_TIMEOUT": 10.0,
    "WEBSOCKET_PING_INTERVAL": 20.0,
    "WEBSOCKET_PING_TIMEOUT": 20.0,
    "WEBSOCKET_MAX_SIZE": 1_048_576,
    "WEBSOCKET_MAX_QUEUE": 32,
    "WEBSOCKET_FRAME_TIMEOUT": 20.0,
    "WEBSOCKET_MAX_PINGS": 100,  # pings and pongs of a peer within a second; 0: any number
    "WEBSOCKET_COMPRESSION": None,
    "WEBSOCKET_ORIGINS": (),
    # Proxies
    "FORWARDED_SECRET": None,
    "REAL_IP_HEADER": None,
    "PROXIES_COUNT": None,
    # Answers
    "FALLBACK_ERROR_FORMAT": "auto",
    "REQUEST_ID_HEADER": True,
    "SERVER_NAME": "",
    "EVENT_AUTOREGISTER": False,  # `app.event` waits for events that no handler knows
    "URL_SCHEME": "",  # of external URLs; "": that of the page they stand in
    # Logs
    "SERVICE_VERSION": "",  # on every line, and of every trace
    "DEBUG": False,
    "ACCESS_LOG": True,
    "ACCESS_LOG_ERRORS_ONLY": False,
    "ACCESS_LOG_SAMPLE": 1.0,
    "ACCESS_LOG_OTLP": False,  # where logs go out over OTLP (OTEL_LOGS_EXPORTER): a record for each line
    "ACCESS_LOG_QUERY": False,  # the query as well, with what looks like a credential masked
    "ACCESS_LOG_USER_AGENT": False,
    "LOG_CONFIG": "",  # path of a JSON file for logging.config.dictConfig, in place of everything of ours
    "LOG_FLOOD_LIMIT": 100,  # lines of one message in a second; 0: no limit
    "LOG_FORMAT": "auto",
    "LOG_LEVEL": "INFO",
    "NOISY_EXCEPTIONS": False,
}

_OPTIONAL_TYPES: dict[str, type] = {
    "UPLOAD_MAX_SIZE": int,
    "WEBSOCKET_COMPRESSION": str,
    "FORWARDED_SECRET": str,
    "TLS_KEY_PASSWORD": str,
    "REAL_IP_HEADER": str,
    "PROXIES_COUNT": int,
}
_CHOICES: dict[str, tuple[Any, ...]] = {
    "FALLBACK_ERROR_FORMAT": ("auto", "html", "json", "text"),
    "LOG_FORMAT": ("auto", "json", "console"),
    "LOG_LEVEL": ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
    "TLS_MIN_VERSION": ("1.2", "1.3"),
    "WEBSOCKET_COMPRESSION": (None, "deflate"),
}
_SECRET = frozenset(("FORWARDED_SECRET", "TLS_KEY_PASSWORD"))
_TRUE = frozenset(("1", "true", "yes", "yep", "yup", "on", "y", "t", "enable", "enabled"))
_FALSE = frozenset(("0", "false", "no", "nope", "off", "n", "f", "disable", "disabled", ""))
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

Convert = Callable[[str], Any]


class DetailedConverter(ABC):
    """A converter that is told which variable it converts; raises ValueError for what it is not for."""

    @abstractmethod
    def __call__(self, full_key: str, config_key: str, value: str, defaults: dict[str, Any]) -> Any:
        """The value for a variable by its whole name and by its name without the prefix; `defaults` is the configuration so far."""


class Config(dict[str, Any]):
    """`config.PORT` and `config["PORT"]` are the same. Raises `ConfigurationError` for a framework key of the wrong type."""

    def __init__(
        self,
        defaults: Mapping[str, Any] | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        env_prefix: str | None = None,
        converters: Iterable[Convert | DetailedConverter] = (),
    ) -> None:
        super().__init__(DEFAULTS)
        object.__setattr__(self, "_converters", [_truth, float, int, *converters])
        if defaults:
            self.update(defaults)
        if environ is not None:
            self.load_environment(environ)
        if env_prefix is not None:
            self.load_environment_vars(env_prefix)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Config:
        """The defaults, changed by `FAIRLEAD_…` variables; `FAIRLEAD_…_FILE` names a mounted file that holds the value."""
        return cls(environ=os.environ if environ is None else environ)

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the configuration has no {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, check(name, value) if name in DEFAULTS else value)

    def update(self, *others: Any, **named: Any) -> None:
        """Take over the items of mappings, pairs and keywords."""
        for name, value in dict(*others, **named).items():
            self[name] = value

    def register_type(self, converter: Convert | DetailedConverter) -> None:
        """Try one more converter on the text of variables, before all others; it raises ValueError for what it is not for."""
        self._converters.append(converter)

    def load_environment_vars(self, prefix: str = PREFIX) -> None:
        """`load_environment` from this process's environment, as Sanic calls it."""
        self.load_environment(os.environ, prefix)

    def load_environment(self, environ: Mapping[str, str], prefix: str = PREFIX) -> None:
        """Take over the environment's variables with the prefix. Raises `ConfigurationError` with every problem.

        Under the framework's own prefix only its keys may stand. Under another one there may be any: the framework's have their
        types, others become what the first converter makes of them, or stay text.
        """
        problems: list[str] = []
        for variable, text in sorted(environ.items()):
            if not variable.startswith(prefix):
                continue
            try:
                name, value = _named_value(variable, variable.removeprefix(prefix), text, is_strict=prefix == PREFIX)
                self[name] = value if name in DEFAULTS else self._converted(variable, name, value)
            except ConfigurationError as exc:
                problems += exc.problems
        if problems:
            raise ConfigurationError(*problems)

    def _converted(self, variable: str, name: str, text: str) -> Any:
        for convert in reversed(self._converters):
            try:
                if isinstance(convert, DetailedConverter):
                    return convert(variable, name, text, dict(self))
                return convert(text)
            except ValueError:
                continue
        return text

    def load(self, source: str | Path | Mapping[str, Any] | ModuleType | type | object) -> None:
        """Take over the upper-case names of a mapping, module, class, object, or of a Python file."""
        if isinstance(source, (str, Path)):
            self.update_config(source)
        elif isinstance(source, Mapping):
            self.update({name: value for name, value in source.items() if name.isupper()})
        else:
            self.update({name: getattr(source, name) for name in dir(source) if name.isupper()})

    def update_config(self, source: Any) -> None:
        """The same as `load`; a path, in which `${NAME}` stands for environment variables, is executed as Python."""
        if not isinstance(source, (str, Path)):
            self.load(source)
            return
        path = Path(_VARIABLE.sub(_variable, str(source)))
        namespace: dict[str, Any] = {"__file__": str(path)}
        try:
            exec(compile(path.read_bytes(), path, "exec"), namespace)
        except OSError as exc:
            raise ConfigurationError(f"the configuration file {path} can't be read: {exc.strerror}") from None
        self.load(namespace)

    def limits(self) -> Limits:
        """What the server needs of this, in its own words. Raises `ConfigurationError` for HTTP/2 without its library."""
        if self.HTTP2 and importlib.util.find_spec("h2") is None:
            raise ConfigurationError("FAIRLEAD_HTTP2 needs the h2 library: install fairlead[http2]")
        return Limits(
            max_body_bytes=self.REQUEST_MAX_SIZE,
            max_upload_bytes=self.UPLOAD_MAX_SIZE,
            max_target_bytes=self.REQUEST_MAX_URL_SIZE,
            max_head_bytes=self.REQUEST_MAX_HEADER_SIZE,
            max_header_fields=self.REQUEST_MAX_HEADERS,
            max_pipelined_bytes=self.PIPELINE_MAX_SIZE,
            max_connections=self.MAX_CONNECTIONS,
            max_connections_per_peer=self.MAX_CONNECTIONS_PER_PEER,
            first_byte_timeout_s=self.FIRST_BYTE_TIMEOUT,
            http2=self.HTTP2,
            max_streams=self.HTTP2_MAX_STREAMS,
            tls_handshake_timeout_s=self.TLS_HANDSHAKE_TIMEOUT,
            header_timeout_s=self.REQUEST_HEADER_TIMEOUT,
            body_timeout_s=self.REQUEST_TIMEOUT,
            min_body_rate=self.REQUEST_MIN_RATE,
            response_timeout_s=self.RESPONSE_TIMEOUT,
            keep_alive_timeout_s=self.KEEP_ALIVE_TIMEOUT if self.KEEP_ALIVE else 0.0,
            write_timeout_s=self.WRITE_TIMEOUT,
            min_read_rate=self.RESPONSE_MIN_RATE,
            request_id_header=self.REQUEST_ID_HEADER,
            websocket_drain_jitter_s=self.WEBSOCKET_DRAIN_JITTER,
        )

    def form_limits(self) -> FormLimits:
        """What the reader of multipart forms needs of this."""
        return FormLimits(
            max_parts=self.FORM_MAX_PARTS,
            max_part_headers=self.FORM_MAX_PART_HEADERS,
            max_header_bytes=self.FORM_MAX_HEADER_SIZE,
            max_field_bytes=self.FORM_MAX_FIELD_SIZE,
            max_file_bytes=self.FORM_MAX_FILE_SIZE,
            max_memory_bytes=self.FORM_MAX_MEMORY_SIZE,
            spool_bytes=self.FORM_SPOOL_SIZE,
        )

    def __repr__(self) -> str:
        shown = {name: "********" if name in _SECRET and value else value for name, value in self.items()}
        return f"Config({shown!r})"


def _variable(found: re.Match[str]) -> str:
    try:
        return os.environ[found[1]]
    except KeyError:
        raise ConfigurationError(f"the variable {found[1]} of a configuration file's path is not set") from None


def _named_value(variable: str, name: str, text: str, *, is_strict: bool) -> tuple[str, str]:
    if name in DEFAULTS:
        return name, text
    if name.endswith("_FILE") and name.removesuffix("_FILE") in DEFAULTS:
        try:
            return name.removesuffix("_FILE"), Path(text).read_text().strip()
        except OSError as exc:
            raise ConfigurationError(f"{variable}: the file {text} can't be read: {exc.strerror}") from None
    if not is_strict:
        return name, text
    close = difflib.get_close_matches(name, DEFAULTS, 1)
    hint = f"; did you mean {PREFIX}{close[0]}?" if close else ""
    raise ConfigurationError(f"{variable} is no setting of fairlead{hint}")


def check(name: str, value: Any) -> Any:
    """The value of a framework key in its type; text is converted. Raises `ConfigurationError`."""
    default = DEFAULTS[name]
    kind = _OPTIONAL_TYPES.get(name, type(default))
    if value is None and name in _OPTIONAL_TYPES:
        return None
    try:
        converted = _convert(kind, value)
    except (TypeError, ValueError):
        shown = "the value given" if name in _SECRET else repr(value)
        raise ConfigurationError(f"{PREFIX}{name}: {shown} is no {_KIND_NAMES[kind]}") from None
    if kind in (int, float) and converted < 0:
        raise ConfigurationError(f"{PREFIX}{name}: {value!r} is negative")
    if name.endswith("PORT") and converted > 65535:
        raise ConfigurationError(f"{PREFIX}{name}: {value!r} is no port")
    if name in _CHOICES:
        converted = converted.upper() if name == "LOG_LEVEL" else converted
        if converted not in _CHOICES[name]:
            raise ConfigurationError(f"{PREFIX}{name}: {value!r} is none of {', '.join(map(str, _CHOICES[name]))}")
    return converted


_KIND_NAMES = {int: "whole number", float: "number", bool: "truth value (true or false)", str: "text", tuple: "list"}


def _truth(text: str) -> bool:
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(text)
    return word in _TRUE


def _convert(kind: type, value: Any) -> Any:
    if kind is bool:
        if isinstance(value, str):
            return _truth(value)
        if isinstance(value, bool):
            return value
        raise ValueError(value)
    if kind is tuple:
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(str(part).strip() for part in parts if str(part).strip())
    if kind is float:
        number = float(value)
        if number != number or number in (float("inf"), float("-inf")) or isinstance(value, bool):
            raise ValueError(value)
        return number
    if kind is int and (isinstance(value, bool) or (isinstance(value, float) and not value.is_integer())):
        raise ValueError(value)
    if kind is str and not isinstance(value, str):
        raise TypeError(value)
    return kind(value)
