"""Everything that Fairlead raises, in one tree.

A `FairleadException` is an answer: it carries a status, headers, a message and a public `context`, and `dispatch` turns it into
a response. `extra` is private: it is logged, and shown only by the debug error page. The names are those that Sanic documents
(`InvalidUsage` and `BadRequest` are one class).

`ConfigurationError` is no answer: the process can't start, prints one line and exits with status 2.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar

__all__ = [
    "BadRequest",
    "BadURL",
    "BlueprintGroupError",
    "CommandError",
    "ConfigurationError",
    "Conflict",
    "ContentRangeError",
    "ExpectationFailed",
    "FairleadException",
    "FileNotFound",
    "Forbidden",
    "HTTPException",
    "HeaderExpectationFailed",
    "HeaderNotFound",
    "HeadersTooLarge",
    "InternalServerError",
    "InvalidHeader",
    "InvalidRangeType",
    "InvalidSignal",
    "InvalidUsage",
    "MethodNotAllowed",
    "MethodNotSupported",
    "NoRequest",
    "NotFound",
    "PayloadTooLarge",
    "PreconditionFailed",
    "PreconditionRequired",
    "RangeNotSatisfiable",
    "RequestCancelled",
    "RequestTimeout",
    "ServerError",
    "ServiceUnavailable",
    "SignalNotFound",
    "TooManyRequests",
    "URITooLong",
    "URLBuildError",
    "Unauthorized",
    "UnprocessableContent",
    "UnsupportedMediaType",
    "UpgradeRequired",
    "ValidationFailed",
    "WebsocketClosed",
    "status_phrase",
]


_RENAMED = {413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable", 422: "Unprocessable Content"}
"""Names of RFC 9110 that the standard library has only from Python 3.13 on."""


def status_phrase(status: int) -> str:
    """The reason phrase of a status code, "" for codes that are not registered (RFC 9110 §15)."""
    try:
        return _RENAMED.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return ""


class FairleadException(Exception):
    """An error that becomes a response.

    `message` is shown to the client, so it must not hold anything private. `context` is added to the answer's body as public
    detail, `extra` reaches the log and the debug page only. `headers` are added to the response.
    All of these may be declared by a subclass, `message` as a property that reads `extra`.
    `quiet` errors are not logged as errors; by default those with a status below 500.
    """

    status_code: int = 500
    quiet: bool | None = None
    message: str = ""
    context: dict[str, Any] = {}  # noqa: RUF012  as a subclass declares them; an instance has its own
    extra: dict[str, Any] = {}  # noqa: RUF012
    headers: dict[str, str] = {}  # noqa: RUF012

    def __init__(
        self,
        message: str | bytes | None = None,
        status_code: int | None = None,
        *,
        quiet: bool | None = None,
        context: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if status_code is not None:
            self.status_code = status_code
        if isinstance(message, bytes):
            message = message.decode("utf-8", "replace")
        self.context = dict(context or self.context)
        self.extra = dict(extra or self.extra)
        self.headers = dict(headers or self.headers)
        text = message or self.message or status_phrase(self.status_code)
        if not isinstance(getattr(type(self), "message", None), property):  # a class may make its message from `extra`
            self.message = text
        super().__init__(text)
        if quiet is not None:
            self.quiet = quiet
        elif self.quiet is None:
            self.quiet = self.status_code < 500


HTTPException = FairleadException


class BadRequest(FairleadException):
    """400: the request can't be understood (RFC 9110 §15.5.1)."""

    status_code = 400


InvalidUsage = BadRequest


class BadURL(BadRequest):
    """400: the request target is not a valid URL."""


class InvalidHeader(BadRequest):
    """400: a header field has an impossible value."""


class HeaderNotFound(BadRequest):
    """400: a header field that the handler needs is missing."""


class Unauthorized(FairleadException):
    """401 with a challenge (RFC 9110 §11.6.1).

    `Unauthorized("sign in", scheme="Bearer", realm="api", error="invalid_token")` sends
    `WWW-Authenticate: Bearer realm="api", error="invalid_token"`.
    """

    status_code = 401

    def __init__(
        self,
        message: str | bytes | None = None,
        status_code: int | None = None,
        scheme: str | None = None,
        *,
        quiet: bool | None = None,
        context: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        **challenges: Any,
    ) -> None:
        super().__init__(message, status_code, quiet=quiet, context=context, extra=extra, headers=headers)
        if scheme is not None:
            values = ", ".join(f'{name}="{_quoted(value)}"' for name, value in challenges.items())
            self.headers["WWW-Authenticate"] = f"{scheme} {values}".rstrip()


def _quoted(value: Any) -> str:
    return str(value).replace("\\", "\\\\").replace('"', '\\"')


class Forbidden(FairleadException):
    """403: understood, and refused."""

    status_code = 403


class NotFound(FairleadException):
    """404: nothing is here."""

    status_code = 404


class FileNotFound(NotFound):
    """404: a static file is missing. `path` and `relative_url` stay private (in `extra`)."""

    def __init__(
        self,
        message: str | bytes | None = None,
        path: Any = None,
        relative_url: str | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(message, **keywords)
        self.path = path
        self.relative_url = relative_url


class MethodNotAllowed(FairleadException):
    """405 with `Allow` (RFC 9110 §15.5.6)."""

    status_code = 405

    def __init__(
        self,
        message: str | bytes | None = None,
        method: str = "",
        allowed_methods: Sequence[str] | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(message, **keywords)
        self.method = method
        self.allowed_methods = sorted(allowed_methods or ())
        self.headers["Allow"] = ", ".join(self.allowed_methods)


MethodNotSupported = MethodNotAllowed


class RequestTimeout(FairleadException):
    """408: the request did not arrive in time."""

    status_code = 408


class Conflict(FairleadException):
    """409: the request contradicts the resource's state."""

    status_code = 409


class PreconditionFailed(FairleadException):
    """412: If-Match or If-Unmodified-Since does not hold (RFC 9110 §13)."""

    status_code = 412


class PayloadTooLarge(FairleadException):
    """413: the body passes the limit."""

    status_code = 413


class URITooLong(FairleadException):
    """414: the request target passes the limit."""

    status_code = 414


class UnsupportedMediaType(FairleadException):
    """415: the body's media type is none that the handler takes."""

    status_code = 415


class RangeNotSatisfiable(FairleadException):
    """416 with `Content-Range: bytes */total` (RFC 9110 §15.5.17)."""

    status_code = 416

    def __init__(self, message: str | bytes | None = None, total: int | None = None, **keywords: Any) -> None:
        super().__init__(message, **keywords)
        if total is not None:
            self.headers["Content-Range"] = f"bytes */{total}"


ContentRangeError = RangeNotSatisfiable


class InvalidRangeType(RangeNotSatisfiable):
    """416: a range in another unit than bytes."""


class ExpectationFailed(FairleadException):
    """417: an expectation other than 100-continue (RFC 9110 §10.1.1)."""

    status_code = 417


HeaderExpectationFailed = ExpectationFailed


class UnprocessableContent(FairleadException):
    """422: well-formed, and yet not acceptable (RFC 9110 §15.5.21)."""

    status_code = 422


class ValidationFailed(UnprocessableContent):
    """422 with the list of what is wrong: `errors` holds objects with `location` ("body.price.amount") and `message`."""

    def __init__(self, errors: Sequence[Mapping[str, str]], message: str | None = None) -> None:
        self.errors = [dict(error) for error in errors]
        super().__init__(message or "The request is well-formed, but its values are not valid", context={"errors": self.errors})


class UpgradeRequired(FairleadException):
    """426: this resource speaks websocket only (RFC 9110 §15.5.22)."""

    status_code = 426

    def __init__(self, message: str | bytes | None = None, **keywords: Any) -> None:
        super().__init__(message, **keywords)
        self.headers.setdefault("Upgrade", "websocket")


class PreconditionRequired(FairleadException):
    """428: the server wants a conditional request (RFC 6585 §3)."""

    status_code = 428


class _Later(FairleadException):
    def __init__(self, message: str | bytes | None = None, *, retry_after: int | None = None, **keywords: Any) -> None:
        super().__init__(message, **keywords)
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)


class TooManyRequests(_Later):
    """429; `retry_after` in seconds (RFC 6585 §4)."""

    status_code = 429


class HeadersTooLarge(FairleadException):
    """431: the request's head passes the limit (RFC 6585 §5)."""

    status_code = 431


class ServerError(FairleadException):
    """500: the server's own fault."""

    status_code = 500


InternalServerError = ServerError


class URLBuildError(ServerError):
    """500: `url_for` was given a name or parameters that make no URL."""


class NoRequest(ServerError, LookupError):
    """500: the current request was asked for where none is handled."""


class InvalidSignal(ServerError):
    """500: the name of an event is none, or is one of the framework's own that doesn't exist."""


class SignalNotFound(ServerError):
    """500: nobody listens to the event that was dispatched or waited for."""


class BlueprintGroupError(Exception):
    """A blueprint group was put together in a way that makes no sense."""


class ServiceUnavailable(_Later):
    """503; `retry_after` in seconds (RFC 9110 §15.6.4).

    Quiet: it is logged as one line with its cause; an outage must not write a traceback for each request that it meets.
    """

    status_code = 503
    quiet = True


class RequestCancelled(CancelledError):
    """The client went away while its request was being handled.

    A handler that waits for anything gets it there, unless its route says `on_disconnect="finish"`; reading `request.stream` and
    sending on a response stream raise it in any case. It is no answer, as there is nobody to hear one. As a kind of
    `asyncio.CancelledError` it passes through time-outs and task groups; catch it before that one to tell a client that has left
    from a cancellation by the application (a shutdown, a time-out), which is never this. Around a task group use
    `except* RequestCancelled`: the groups of Python 3.11 and 3.12 wrap it.
    """


class WebsocketClosed(FairleadException):
    """The websocket is closed; `code` and `reason` are those of the closing handshake (RFC 6455 §7.1.5), 1006 without one."""

    quiet = True
    code: int
    reason: str

    def __init__(self, code: int = 1006, reason: str = "") -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"websocket closed: {code} {reason}".rstrip())


class CommandError(Exception):
    """A command of the application's own was called in a way that it can't be: one line, exit status 2."""

    exit_status: ClassVar[int] = 2


class ConfigurationError(Exception):
    """The configuration is unknown, missing or malformed. Each problem is one line; exit status 2 (mission K7)."""

    exit_status: ClassVar[int] = 2

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))
