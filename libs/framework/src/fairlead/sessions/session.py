"""A session as a handler sees it: a mapping of names to JSON values.

What has changed is found by comparing when the response is made, so that `session["cart"].append(7)` counts like
`session["cart"] = [7]`. After that, and in a websocket, the session can be read and no longer changed: a change that nobody
would store raises.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any, TypeVar, overload

import msgspec

from fairlead.sessions.store import Record

__all__ = ["Session"]

T = TypeVar("T")
D = TypeVar("D")


class Session(MutableMapping[str, Any]):
    """`request.ctx.session`. Values are what JSON knows, and what msgspec makes of Structs, dataclasses, dates and UUIDs.

    Concurrent requests of one browser: stores on the server merge their changes key by key, the later of two changes to one key
    wins; in a signed cookie the whole session of the later response wins.
    """

    __slots__ = ("_now", "_removed", "_sealed", "_values", "accessed", "record", "renewed", "token")

    def __init__(self, now: float, record: Record | None = None, token: str | None = None, *, sealed: str = "") -> None:
        self.record = record if record is not None else Record(now, now)
        self.token = token
        self.accessed = False
        self.renewed = False
        self._now = now
        self._sealed = sealed
        self._values: dict[str, Any] = {}
        self._removed: set[str] = set()

    @property
    def is_new(self) -> bool:
        """Whether the browser came without a session that is valid."""
        return self.token is None

    @property
    def created_at(self) -> float:
        """When it began or was renewed, in seconds since the epoch."""
        return self.record.created_at

    # The mapping. Values are decoded when they are first asked for.

    def __getitem__(self, key: str) -> Any:
        self.accessed = True
        if key not in self._values:
            self._values[key] = msgspec.json.decode(self.record.values[key])
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._open()
        if not isinstance(key, str):
            raise TypeError(f"a session's keys are text, not {type(key).__name__}")
        self._values[key] = value
        self.record.values.setdefault(key, b"")

    def __delitem__(self, key: str) -> None:
        self._open()
        del self.record.values[key]
        self._values.pop(key, None)
        self._removed.add(key)

    def __iter__(self) -> Iterator[str]:
        self.accessed = True
        return iter(list(self.record.values))

    def __len__(self) -> int:
        self.accessed = True
        return len(self.record.values)

    def __contains__(self, key: object) -> bool:
        self.accessed = True
        return key in self.record.values

    def __repr__(self) -> str:
        return f"<Session {', '.join(self.record.values)}>"  # never its values: they may be secrets, and this may be logged

    @overload
    def typed(self, key: str, kind: type[T]) -> T | None: ...
    @overload
    def typed(self, key: str, kind: type[T], default: D) -> T | D: ...
    def typed(self, key: str, kind: Any, default: Any = None) -> Any:
        """A value as a `kind` that msgspec can convert to (a Struct, dataclass, `list[UUID]` …); `default` without one, and for a
        value of another form, which a session from before a release may hold.
        """
        if key not in self:
            return default
        try:
            return msgspec.convert(msgspec.to_builtins(self[key]), kind)
        except msgspec.ValidationError:
            return default

    # Its life

    def regenerate(self) -> None:
        """Keep the values under a new token, and end the old one. Call it whenever the user's rights change (signing in, becoming
        an administrator): a token that somebody else has planted or seen is worth nothing then (session fixation, CWE-384).
        """
        self._open()
        self.renewed = True
        self.record.created_at = self._now

    def invalidate(self) -> None:
        """End the session, for signing out: values, token and cookie. What is set afterwards begins a new one."""
        self.clear()
        self.regenerate()

    # For `Sessions`

    def seal(self, reason: str) -> None:
        """From now on changes raise, with this reason."""
        self._sealed = reason

    def changes(self) -> set[str]:
        """The keys whose values are others than at first, or gone; brings the record's values up to date."""
        changed = set(self._removed)
        for key, value in self._values.items():
            encoded = msgspec.json.encode(value)
            if encoded != self.record.values[key]:
                self.record.values[key] = encoded
                changed.add(key)
        return changed

    def _open(self) -> None:
        self.accessed = True
        if self._sealed:
            raise RuntimeError(f"the session can't be changed any more: {self._sealed}")
