"""Which handler answers an exception, and what is answered when there is none.

An application has one `ErrorHandler`; a subclass may answer differently by default:

    class ProblemsOnly(ErrorHandler):
        def default(self, request, exception):
            return json({"error": str(exception)}, status=getattr(exception, "status_code", 500))

    app = App("shop", error_handler=ProblemsOnly())
"""

from __future__ import annotations

from typing import Any

from fairlead.error_pages import error_response
from fairlead.request import Request
from fairlead.types import ErrorHandler as Handler


class ErrorHandler:
    """The handlers of one application, by exception class. Each stands for its subclasses; the nearest class wins."""

    def __init__(self) -> None:
        self.handlers: dict[type[BaseException], Handler] = {}

    def add(self, exception: type[BaseException], handler: Handler) -> None:
        """Let `(request, exception)` answer exceptions of a class; the same as `@app.exception`."""
        self.handlers[exception] = handler

    def lookup(self, exception: BaseException) -> Handler | None:
        """The handler for an exception; None when there is none."""
        return find_handler(self.handlers, type(exception))

    def default(self, request: Request[Any, Any], exception: Exception) -> Any:
        """The answer where nobody else has one, plain or awaitable: problem details, a page, or text."""
        config = request.app.config
        return error_response(request, exception, debug=config.DEBUG, default_format=config.FALLBACK_ERROR_FORMAT)


def find_handler(handlers: dict[type[BaseException], Handler], kind: type[BaseException]) -> Handler | None:
    """The handler for a class or for the nearest of its bases."""
    for base in kind.__mro__:
        if base in handlers:
            return handlers[base]
    return None
