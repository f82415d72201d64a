"""`app.ext`: what Sanic Extensions documents under that name, for applications that come from there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairlead.app import App
    from fairlead.injection import Scope


class Ext:
    """Everything here is the application's own, and simpler to have from there."""

    def __init__(self, app: App[Any, Any]) -> None:
        self.app = app

    def add_dependency(self, kind: Any, constructor: Callable[..., Any] | None = None, *, scope: Scope = "request") -> None:
        """`app.add_dependency`."""
        self.app.add_dependency(kind, constructor, scope=scope)

    def dependency(self, value: Any, *, kind: Any = None) -> None:
        """`app.dependency`."""
        self.app.dependency(value, kind=kind)
