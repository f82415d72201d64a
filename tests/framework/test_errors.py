"""Errors as answers: status, message, headers, and what stays private."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from fairlead import errors
from fairlead.errors import (
    BadRequest,
    ConfigurationError,
    FairleadException,
    FileNotFound,
    MethodNotAllowed,
    RangeNotSatisfiable,
    RequestCancelled,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
    UpgradeRequired,
    ValidationFailed,
    WebsocketClosed,
    status_phrase,
)

STATUSES = {
    "BadRequest": 400,
    "BadURL": 400,
    "InvalidHeader": 400,
    "HeaderNotFound": 400,
    "InvalidUsage": 400,
    "Unauthorized": 401,
    "Forbidden": 403,
    "NotFound": 404,
    "FileNotFound": 404,
    "MethodNotAllowed": 405,
    "MethodNotSupported": 405,
    "RequestTimeout": 408,
    "Conflict": 409,
    "PreconditionFailed": 412,
    "PayloadTooLarge": 413,
    "URITooLong": 414,
    "UnsupportedMediaType": 415,
    "RangeNotSatisfiable": 416,
    "ExpectationFailed": 417,
    "UnprocessableContent": 422,
    "UpgradeRequired": 426,
    "PreconditionRequired": 428,
    "TooManyRequests": 429,
    "HeadersTooLarge": 431,
    "ServerError": 500,
    "URLBuildError": 500,
    "ServiceUnavailable": 503,
}


@pytest.mark.parametrize(("name", "status"), STATUSES.items())
def test_status_of_each(name: str, status: int) -> None:
    """Each error has its status and its phrase as message; quiet are the client's errors, and an outage."""
    error = getattr(errors, name)()
    assert (error.status_code, error.message, error.quiet) == (status, status_phrase(status), status < 500 or status == 503)
    assert isinstance(error, FairleadException)
    assert str(error) == error.message


def test_every_name_is_exported() -> None:
    """What is public here is in `__all__`, and the other way round."""
    public = {name for name, value in vars(errors).items() if inspect.isclass(value) and value.__module__ == errors.__name__}
    aliases = {"HTTPException", "InvalidUsage", "MethodNotSupported", "status_phrase"}
    assert set(errors.__all__) == {name for name in public if not name.startswith("_")} | aliases


@pytest.mark.parametrize(
    ("status", "phrase"), [(200, "OK"), (413, "Content Too Large"), (422, "Unprocessable Content"), (799, ""), (0, "")]
)
def test_phrases(status: int, phrase: str) -> None:
    """The phrases of RFC 9110 on every Python, none for what is not registered."""
    assert status_phrase(status) == phrase


def test_what_an_error_carries() -> None:
    """Message, status, public context, private extra and headers; each instance has its own."""
    context = {"a": 1}
    error = FairleadException("no", 418, context=context, extra={"b": 2}, headers={"C": "3"}, quiet=True)
    assert (error.message, error.status_code, error.quiet) == ("no", 418, True)
    assert (error.context, error.extra, error.headers) == ({"a": 1}, {"b": 2}, {"C": "3"})
    error.context["more"] = 1
    assert context == {"a": 1}
    assert BadRequest(b"caf\xc3\xa9 \xff").message == "café �"


@pytest.mark.parametrize(
    ("status", "own", "given", "expected"),
    [(404, None, None, True), (500, None, None, False), (500, True, None, True), (404, None, False, False)],
)
def test_quietness(status: int, own: bool | None, given: bool | None, expected: bool) -> None:
    """What is given counts, else what the class says, else whether it is the client's error."""
    kind: Any = type("Own", (FairleadException,), {"status_code": status, "quiet": own})
    assert kind(quiet=given).quiet is expected


def test_message_of_a_class() -> None:
    """A class may bring its own message."""
    kind: Any = type("Own", (FairleadException,), {"message": "own words"})
    assert (kind().message, kind("other").message) == ("own words", "other")


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (Unauthorized("sign in"), {}),
        (Unauthorized(scheme="Basic"), {"WWW-Authenticate": "Basic"}),
        (
            Unauthorized(scheme="Bearer", realm='the "api"\\', error="invalid_token"),
            {"WWW-Authenticate": 'Bearer realm="the \\"api\\"\\\\", error="invalid_token"'},
        ),
        (MethodNotAllowed(method="PUT", allowed_methods=["POST", "GET"]), {"Allow": "GET, POST"}),
        (MethodNotAllowed(), {"Allow": ""}),
        (RangeNotSatisfiable(total=7), {"Content-Range": "bytes */7"}),
        (RangeNotSatisfiable(), {}),
        (TooManyRequests(retry_after=5), {"Retry-After": "5"}),
        (ServiceUnavailable("later", retry_after=0), {"Retry-After": "0"}),
        (ServiceUnavailable(), {}),
        (UpgradeRequired(), {"Upgrade": "websocket"}),
        (UpgradeRequired(headers={"Upgrade": "h2c"}), {"Upgrade": "h2c"}),
    ],
)
def test_headers_that_belong_to_a_status(error: FairleadException, headers: dict[str, str]) -> None:
    """The fields that RFC 9110 wants beside a status come with it."""
    assert error.headers == headers


def test_what_stays_private() -> None:
    """Path and URL of a missing file are for the log."""
    error = FileNotFound("File not found", path="/srv/x", relative_url="../x")
    assert (error.path, error.relative_url, error.message, error.context) == ("/srv/x", "../x", "File not found", {})


def test_validation() -> None:
    """What is wrong is listed with its place."""
    wrong = [{"location": "body.a", "message": "Expected int"}]
    assert ValidationFailed(wrong).context == {"errors": wrong}
    assert ValidationFailed(wrong, "own").message == "own"


def test_closed_websocket() -> None:
    """Code and reason are there, and 1006 when nobody gave one; it is never logged as an error."""
    error = WebsocketClosed(1001, "going away")
    assert (error.code, error.reason, str(error), error.quiet) == (1001, "going away", "websocket closed: 1001 going away", True)
    assert str(WebsocketClosed()) == "websocket closed: 1006"


def test_errors_that_are_no_answers() -> None:
    """A configuration's problems are lines, exit status 2; a client that left is caught by no `except Exception`."""
    error = ConfigurationError("one", "two")
    assert (error.problems, str(error), error.exit_status) == (("one", "two"), "one; two", 2)
    assert not issubclass(RequestCancelled, Exception)
