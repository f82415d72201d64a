"""Signals: one part of an application tells the others that something happened.

    @app.signal("user.registration.created")
    async def send_mail(email): ...

    await app.dispatch("user.registration.created", context={"email": "ada@example.org"})

An event has three parts, `namespace.reference.action`; in a handler's event the action may be a parameter, as in a path
(`foo.bar.<thing:int>`). `dispatch` runs the handlers whose event fits, one after another, a higher priority first; one that returns
something true ends the row. It runs them in a background task, or in place with `inline=True`.

A handler is given what it names of the context and of the event's parameters, or all of it if it takes `**context`.

Conditions: a handler with a condition hears what was dispatched with an equal one; with `exclusive=False` also what was dispatched
without any. A blueprint's handlers are never exclusive, and `blueprint.dispatch` reaches them alone.

Built-in events (`Event`) are sent by the framework. The places that send one ask for an `emitter` when the application is
finalised; it is None where nobody listens, and then there is nothing to call. That is why handlers are added before the start.
Rejected: sending always and looking for handlers each time, which costs every request a call for each of fifteen events.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from fairlead.errors import InvalidSignal, SignalNotFound
from fairlead.routing.pattern import Parameter, PatternTypes, parse_pattern

logger = logging.getLogger("fairlead.signals")

Handler: TypeAlias = Callable[..., Any]
Condition: TypeAlias = Mapping[str, Any]
Emitter: TypeAlias = Callable[..., Awaitable[None]]
"""`await emit(request=request, …)`: runs the handlers of one built-in event in place."""


class Event(StrEnum):
    """The built-in events; what their handlers may take is listed in docs/guide/signals.md."""

    SERVER_EXCEPTION_REPORT = "server.exception.report"
    SERVER_INIT_AFTER = "server.init.after"
    SERVER_INIT_BEFORE = "server.init.before"
    SERVER_SHUTDOWN_AFTER = "server.shutdown.after"
    SERVER_SHUTDOWN_BEFORE = "server.shutdown.before"
    HTTP_LIFECYCLE_BEGIN = "http.lifecycle.begin"
    HTTP_LIFECYCLE_COMPLETE = "http.lifecycle.complete"
    HTTP_LIFECYCLE_EXCEPTION = "http.lifecycle.exception"
    HTTP_LIFECYCLE_HANDLE = "http.lifecycle.handle"
    HTTP_LIFECYCLE_READ_BODY = "http.lifecycle.read_body"
    HTTP_LIFECYCLE_READ_HEAD = "http.lifecycle.read_head"
    HTTP_LIFECYCLE_REQUEST = "http.lifecycle.request"
    HTTP_LIFECYCLE_RESPONSE = "http.lifecycle.response"
    HTTP_ROUTING_AFTER = "http.routing.after"
    HTTP_ROUTING_BEFORE = "http.routing.before"
    HTTP_HANDLER_AFTER = "http.handler.after"
    HTTP_HANDLER_BEFORE = "http.handler.before"
    HTTP_LIFECYCLE_SEND = "http.lifecycle.send"
    HTTP_MIDDLEWARE_AFTER = "http.middleware.after"
    HTTP_MIDDLEWARE_BEFORE = "http.middleware.before"
    WEBSOCKET_HANDLER_AFTER = "websocket.handler.after"
    WEBSOCKET_HANDLER_BEFORE = "websocket.handler.before"
    WEBSOCKET_HANDLER_EXCEPTION = "websocket.handler.exception"


_RESERVED = frozenset(event.partition(".")[0] for event in Event)
_BUILT_IN = frozenset(str(event) for event in Event)
_GENERIC = "__generic__.__signal__."

ANY_ACTION = "*"


@dataclass(frozen=True, slots=True)
class SignalRecord:
    """One call of `signal`."""

    handler: Handler
    event: str
    condition: Condition | None = None
    exclusive: bool = True
    priority: int = 0


def split_event(event: str) -> tuple[str, str, str]:
    """The three parts of an event; a name without dots is one of its own kind. Raises `InvalidSignal`."""
    event = str(event)
    if "." not in event:
        event = _GENERIC + event
    parts = event.split(".", 2)
    if len(parts) == 3:
        namespace, reference, action = parts
        is_parameter = action.startswith("<") and action.endswith(">")
        if namespace and reference and action and (is_parameter or "." not in action) and "<" not in namespace + reference:
            return namespace, reference, action
    raise InvalidSignal(f"Invalid signal event: {event}")


def check_event(event: str) -> None:
    """Raises `InvalidSignal` for an event that handlers can't listen to, or one of ours that doesn't exist."""
    namespace, _, action = split_event(event)
    if namespace in _RESERVED and not action.startswith("<") and event not in _BUILT_IN:
        raise InvalidSignal(f"Cannot declare reserved signal event: {event}")


class Listener:
    """A handler with what it listens to."""

    __slots__ = ("_accepts", "action", "blueprint", "condition", "exclusive", "handler", "priority")

    def __init__(self, record: SignalRecord, action: str | Parameter, blueprint: Any) -> None:
        self.handler = record.handler
        self.action = action
        self.condition = dict(record.condition) if record.condition else None
        self.exclusive = record.exclusive and blueprint is None
        self.priority = record.priority
        self.blueprint = blueprint
        self._accepts = _accepted(record.handler)

    def match(self, action: str) -> dict[str, Any] | None:
        """The parameters of an event's action; None when it is another."""
        if isinstance(self.action, str):
            return {} if self.action == action else None
        try:
            return {self.action.name: self.action.type.convert(action)}
        except ValueError:
            return None

    def hears(self, condition: Condition | None, blueprint: Any) -> bool:
        """Whether it is meant by a dispatch under this condition, to this blueprint alone when one is given."""
        if blueprint is not None and self.blueprint is not blueprint:
            return False
        return condition == self.condition or (condition is None and not self.exclusive and blueprint is None)

    def call(self, values: dict[str, Any]) -> Any:
        """Call the handler with what it takes of the values."""
        if self._accepts is not None:
            values = {name: value for name, value in values.items() if name in self._accepts}
        return self.handler(**values)


def _accepted(handler: Handler) -> frozenset[str] | None:
    """The names that a handler takes; None for all."""
    parameters = inspect.signature(handler).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return frozenset(parameter.name for parameter in parameters)


class _Waiter:
    __slots__ = ("action", "blueprint", "condition", "exclusive", "future")

    def __init__(self, parts: tuple[str, str, str], condition: Condition | None, exclusive: bool, blueprint: Any) -> None:
        self.action = parts[2]
        self.condition = dict(condition) if condition else None
        self.exclusive = exclusive and blueprint is None
        self.blueprint = blueprint
        self.future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    def hears(self, parts: tuple[str, str, str], condition: Condition | None, blueprint: Any) -> bool:
        if self.action not in (ANY_ACTION, parts[2]) or self.future.done():
            return False
        if blueprint is not None and self.blueprint is not blueprint:
            return False
        return condition == self.condition or (condition is None and not self.exclusive)


class Signals:
    """The handlers of one application and of its blueprints, and those who wait for an event."""

    def __init__(self, types: PatternTypes) -> None:
        self._types = types
        self._listeners: dict[tuple[str, str], list[Listener]] = {}
        self._waiters: dict[tuple[str, str], dict[_Waiter, None]] = {}

    def add(self, record: SignalRecord, blueprint: Any = None) -> None:
        """Register a handler for an event that was checked. Raises ValueError for a parameter of a type that doesn't exist."""
        namespace, reference, text = split_event(record.event)
        action: str | Parameter = text
        if text.startswith("<"):
            (parsed,) = parse_pattern(f"/{text}", self._types)
            assert isinstance(parsed, Parameter)
            action = parsed
        listeners = self._listeners.setdefault((namespace, reference), [])
        listeners.append(Listener(record, action, blueprint))
        listeners.sort(key=lambda listener: -listener.priority)

    def _find(self, parts: tuple[str, str, str]) -> list[tuple[Listener, dict[str, Any]]]:
        found = [(listener, listener.match(parts[2])) for listener in self._listeners.get(parts[:2], ())]
        return [(listener, values) for listener, values in found if values is not None]

    def has_namespace(self, *namespaces: str) -> bool:
        """Whether anybody listens to an event that begins so."""
        return any(namespace in namespaces for namespace, _ in self._listeners)

    def emitter(self, event: Event, condition: Condition | None = None) -> Emitter | None:
        """What sends a built-in event; None when nobody listens to it."""
        parts = split_event(event)
        if not any(listener.hears(condition, None) for listener, _ in self._find(parts)):
            return None

        async def emit(**context: Any) -> None:
            await self.dispatch(event, context, condition)

        return emit

    async def dispatch(
        self,
        event: str,
        context: Mapping[str, Any] | None = None,
        condition: Condition | None = None,
        *,
        blueprint: Any = None,
        must_exist: bool = False,
        reverse: bool = False,
    ) -> Any:
        """Wake those who wait, then run the handlers; the first true result of one ends it and is returned.

        Raises what a handler raises, and `SignalNotFound` for an event that nobody knows when it `must_exist`.
        """
        parts, condition, context = split_event(event), condition or None, context or {}
        found = self._find(parts)
        if must_exist and not found and not self._waiters.get(parts[:2]):
            raise SignalNotFound(f"Could not find signal {event}")
        heard = [(listener, {**values, **context}) for listener, values in found if listener.hears(condition, blueprint)]
        self._wake(parts, condition, blueprint, {**(found[0][1] if found else {}), **context})
        for listener, values in reversed(heard) if reverse else heard:
            result = listener.call(values)
            if inspect.isawaitable(result):
                result = await result
            if result:
                return result
        return None

    async def report(self, exception: BaseException) -> None:
        """Send `server.exception.report`. A handler of it that fails is logged, and not reported: that would never end."""
        try:
            await self.dispatch(Event.SERVER_EXCEPTION_REPORT, {"exception": exception})
        except Exception:
            logger.exception("signal handler failed", extra={"event": str(Event.SERVER_EXCEPTION_REPORT)})

    def _wake(self, parts: tuple[str, str, str], condition: Condition | None, blueprint: Any, values: dict[str, Any]) -> None:
        for waiter in self._waiters.get(parts[:2], ()):
            if waiter.hears(parts, condition, blueprint):
                waiter.future.set_result(dict(values))

    async def wait(
        self,
        event: str,
        timeout_s: float | None = None,
        condition: Condition | None = None,
        *,
        exclusive: bool = True,
        blueprint: Any = None,
        must_exist: bool = True,
    ) -> dict[str, Any]:
        """Wait for an event, or with the action `*` for any of its kind; returns its parameters and context.

        Raises `SignalNotFound` for an event that no handler knows, unless it need not exist, and TimeoutError.
        """
        parts = split_event(event)
        known = self._listeners.get(parts[:2]) if parts[2] == ANY_ACTION else self._find(parts)
        if must_exist and not known:
            raise SignalNotFound(f"Could not find signal {event}")
        waiter = _Waiter(parts, condition, exclusive, blueprint)
        waiting = self._waiters.setdefault(parts[:2], {})
        waiting[waiter] = None
        try:
            async with asyncio.timeout(timeout_s):
                return await waiter.future
        finally:
            del waiting[waiter]
            if not waiting:
                self._waiters.pop(parts[:2], None)
