"""`app.ext`: what Sanic Extensions documents under that name, for applications that come from there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from fairlead.app import App
    from fairlead.injection import Scope
    from fairlead.openapi import Documentation

H = TypeVar("H", bound=Callable[..., Any])


class Ext:
    """Everything here is the application's own, and simpler to have from there."""

    def __init__(self, app: App[Any, Any]) -> None:
        self.app = app

    @property
    def openapi(self) -> Documentation:
        """The application's documentation, served from the first use of this on; `fairlead.openapi.attach` has the options."""
        if self.app.openapi is None:
            from fairlead.openapi import attach

            attach(self.app)
        documentation: Documentation = self.app.openapi
        return documentation

    def add_dependency(self, kind: Any, constructor: Callable[..., Any] | None = None, *, scope: Scope = "request") -> None:
        """`app.add_dependency`."""
        self.app.add_dependency(kind, constructor, scope=scope)

    def dependency(self, value: Any, *, kind: Any = None) -> None:
        """`app.dependency`."""
        self.app.dependency(value, kind=kind)

    def template(self, file_name: str, **options: Any) -> Callable[[H], H]:
        """`fairlead.templating.template`, looked for when the app starts."""
        from fairlead.templating import checked_template

        return checked_template(self.app, file_name, **options)

    @property
    def environment(self) -> Any:
        """Jinja2's environment. Raises AttributeError when templates are another engine's."""
        from fairlead.templating import engine_of

        return engine_of(self.app).environment  # type: ignore[attr-defined]
