"""The applications of this process, by name: `App.get_app("shop")` from anywhere.

The registry keeps nothing alive, and of two applications of one name it knows the newer (tests make many). Sanic refuses the second
one, unless it is told that this is a test.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakValueDictionary

from fairlead.errors import ServerError

_apps: WeakValueDictionary[str, Any] = WeakValueDictionary()


def register_app(app: Any) -> None:
    """Make an application known by its name."""
    _apps[app.name] = app


def unregister_app(app: Any) -> None:
    """Forget an application; one that is not known is no error."""
    name = app.name
    if _apps.get(name) is app:
        del _apps[name]


def find_app(name: str | None = None) -> Any:
    """The application of a name, or without one the only application. Raises `ServerError` when there is none, or a choice."""
    if name is None:
        if len(_apps) != 1:
            known = ", ".join(sorted(_apps)) or "none"
            raise ServerError(f"which application? get_app() needs a name where there is not exactly one (there are: {known})")
        return next(iter(_apps.values()))
    app = _apps.get(name)
    if app is None:
        raise ServerError(f"there is no application named {name!r}")
    return app
