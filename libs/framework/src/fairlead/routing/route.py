"""A route: what was registered for a path, and the callable that `finalise` made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from fairlead.routing.pattern import Parameter, Segment
from fairlead.types import OnDisconnect


class Route:
    """One handler at one path. `call` is composed by `App.finalise`; until then it is the handler itself."""

    __slots__ = (
        "after",
        "before",
        "blueprint",
        "body_timeout_s",
        "call",
        "ctx",
        "error_format",
        "handler",
        "has_pairs",
        "hosts",
        "is_async",
        "is_websocket",
        "max_body_bytes",
        "methods",
        "name",
        "on_disconnect",
        "options",
        "parameter_names",
        "path",
        "reads_form",
        "response_timeout_s",
        "segments",
        "stream",
        "strict",
    )

    def __init__(
        self,
        name: str,
        path: str,
        segments: list[Segment],
        methods: Iterable[str],
        handler: Callable[..., Any],
        *,
        strict: bool = False,
        stream: bool = False,
        hosts: frozenset[str] = frozenset(),
        is_websocket: bool = False,
        error_format: str | None = None,
        blueprint: Any = None,
        ctx: SimpleNamespace | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.path = path
        self.segments = segments
        self.methods = frozenset(methods)
        self.handler = handler
        self.strict = strict
        self.stream = stream
        self.hosts = hosts
        self.is_websocket = is_websocket
        self.error_format = error_format
        self.blueprint = blueprint
        self.ctx = ctx or SimpleNamespace()
        self.options = options or {}
        parameters = [segment for segment in segments if isinstance(segment, Parameter)]
        self.parameter_names = tuple(name for parameter in parameters for name in parameter.names)
        self.has_pairs = any(len(parameter.names) > 1 for parameter in parameters)
        """Some parameter has two names, and a pair for a value."""
        self.reads_form = False
        """The form is read before the handler runs, for its `Form[T]` or that of a dependency."""
        self.max_body_bytes: int | None = None
        self.body_timeout_s: float | None = None
        self.response_timeout_s: float | None = None
        self.on_disconnect: OnDisconnect = "cancel"
        self.call: Callable[..., Any] = handler
        self.is_async = True
        self.before: tuple[Callable[..., Any], ...] = ()
        """The request middleware around the handler, for those who describe the route: `call` runs it."""
        self.after: Callable[..., Any] | None = None

    @property
    def uri(self) -> str:
        """The path with its parameters' names."""
        return self.path

    def __repr__(self) -> str:
        return f"<Route {self.name}: {','.join(sorted(self.methods))} {self.path}>"
