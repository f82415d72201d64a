"""What the client sees of an error: problem details, an HTML page, or text.

The format is the route's `error_format`, else `FALLBACK_ERROR_FORMAT`; "auto" asks the Accept header, where only a client that
names text/html before JSON (a browser) gets HTML. Outside of debug mode an unexpected exception shows nothing of itself.
"""

from __future__ import annotations

import traceback
from html import escape
from typing import Any

from fairlead.errors import FairleadException, ServerError, status_phrase
from fairlead.http import media
from fairlead.http.problem import encode_problem, problem_of
from fairlead.request import Request
from fairlead.response import HTTPResponse

_FORMATS = {media.PROBLEM_JSON: "json", media.JSON: "json", "text/html": "html", "text/plain": "text"}

_STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:12vh auto;padding:0 1.25rem}"
    "h1{font-size:1.6rem;margin:0 0 .5rem}p{margin:.25rem 0;opacity:.85}code,pre{font:14px/1.45 ui-monospace,monospace}"
    "pre{overflow:auto;padding:1rem;border:1px solid #8886;border-radius:.5rem}"
)


def error_response(request: Request[Any, Any], exception: Exception, *, debug: bool, default_format: str) -> HTTPResponse:
    """The response for an exception that no handler of the application took."""
    error = exception if isinstance(exception, FairleadException) else ServerError()
    shown = (request.route.error_format if request.route is not None else None) or default_format
    if shown == "auto":
        shown = _FORMATS[request.accept.match(*_FORMATS) or media.PROBLEM_JSON]
    response = _RENDERERS[shown](request, error, exception if debug else None)
    response.headers.extend(error.headers)
    response.headers["x-content-type-options"] = "nosniff"
    return response


def _json(request: Request[Any, Any], error: FairleadException, cause: Exception | None) -> HTTPResponse:
    problem = problem_of(error, request.id)
    if cause is not None:
        problem["debug"] = {"exception": _lines(cause), **error.extra}
    return HTTPResponse(encode_problem(problem), error.status_code, None, media.PROBLEM_JSON)


def _text(request: Request[Any, Any], error: FairleadException, cause: Exception | None) -> HTTPResponse:
    lines = [f"{error.status_code} {status_phrase(error.status_code)}", error.message, f"request id: {request.id}"]
    if cause is not None:
        lines += _lines(cause)
    return HTTPResponse("\n".join(lines) + "\n", error.status_code, None, media.TEXT)


def _html(request: Request[Any, Any], error: FairleadException, cause: Exception | None) -> HTTPResponse:
    title = f"{error.status_code} {status_phrase(error.status_code)}".strip()
    debug = f"<pre>{escape(chr(10).join(_lines(cause)))}</pre>" if cause is not None else ""
    body = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1><p>{escape(error.message)}</p>"
        f"<p>Request id: <code>{escape(request.id)}</code></p>{debug}"
    )
    return HTTPResponse(body, error.status_code, None, media.HTML)


def _lines(cause: Exception) -> list[str]:
    return "".join(traceback.format_exception(cause)).rstrip().splitlines()


_RENDERERS = {"json": _json, "text": _text, "html": _html}

FORMATS = ("auto", *_RENDERERS)
"""What `error_format` may be."""
