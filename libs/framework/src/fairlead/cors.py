"""Cross-origin resource sharing: which pages of other origins may read this app's answers (the Fetch standard, §3.2).

How this works. `attach` checks its arguments once and renders every header value once; a response then costs one
look-up in a dictionary of origins. Three rules follow the attacks on the lists (SEC-A03, OWASP HTML5 Security sheet):

- Closed by default: without origins nothing is registered and no answer carries a CORS header.
- An origin is known when it is *equal* to a configured one. No prefixes, suffixes, patterns or case folding: each of
  those has let a stranger in somewhere. An unknown origin is never written into an answer.
- ``null`` is nobody's origin (sandboxed frames and local files all share it) and ``*`` excludes credentials.

A preflight is answered with 204 for every path that has a route, whether or not an OPTIONS handler exists; a refused
one is a 403 that says why, without CORS headers, so that the browser blocks the call. Answers of error handlers carry
the headers too: a page that may call an endpoint may also read why the call failed.

``Vary: Origin`` goes on every answer while origins are listed, also on those to requests without an Origin: otherwise
a shared cache could hand the copy without CORS headers to a page that needs them.

Rejected: reflecting the Origin for ``credentials=True`` (what makes CORS with cookies exploitable), regular
expressions for origins (an unescaped dot is a hole), a middleware that only sees successful responses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from fairlead.errors import ConfigurationError, FairleadException, Forbidden, MethodNotAllowed
from fairlead.http.headers import Headers, add_vary
from fairlead.http.origin import is_origin
from fairlead.request import Request
from fairlead.response import HTTPResponse, empty

if TYPE_CHECKING:
    from fairlead.app import App

__all__ = ["DEFAULT_METHODS", "CorsPolicy", "attach"]

DEFAULT_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
"""What a page may send unless told otherwise: the methods of a REST resource."""

SAFELISTED_METHODS: Final = frozenset({"GET", "HEAD", "POST"})
"""Never refused by a browser after a preflight (Fetch §2.2.1), so refusing them in one would only mislead."""

PRIORITY: Final = 1000
"""Before other middleware: a preflight carries no credentials, so whatever asks for some would refuse it. And after it on the way
out: an answer that some middleware puts in the place of another carries the headers too."""

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_PREFLIGHT_VARY: Final = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


def attach(
    app: App[Any, Any],
    *,
    origins: Sequence[str] = (),
    methods: Sequence[str] = DEFAULT_METHODS,
    headers: Sequence[str] = (),
    expose_headers: Sequence[str] = (),
    credentials: bool = False,
    max_age_s: int = 600,
) -> None:
    """Let pages of `origins` call `app`. Call it once, before the app starts.

    `origins` as a browser sends them ("https://shop.example", "http://127.0.0.1:8003"), or ``("*",)`` for a public
    API. `headers` are request headers beyond the safelisted ones (name "Authorization" and "Content-Type" where pages
    send a token or JSON), `expose_headers` those of the answer that the page may read ("ETag"). `max_age_s` is how
    long a browser may keep a preflight's answer. Websockets know no CORS: theirs are `WEBSOCKET_ORIGINS`, or the
    route's `origins`. Raises `ConfigurationError` for an origin that no browser would ever send, and for "*" where it
    is no wildcard.
    """
    if not origins:
        return
    policy = CorsPolicy(origins, methods, headers, expose_headers, credentials, max_age_s)

    def answer_preflight(request: Request[Any, Any]) -> HTTPResponse | None:
        if not is_preflight(request):
            return None
        if request.route is None:
            _expect_path(request)
        return policy.answer(request)

    def decorate(request: Request[Any, Any], response: HTTPResponse) -> None:
        if not is_preflight(request):
            policy.decorate(request.headers.get("origin"), response.headers)

    app.register_middleware(answer_preflight, "request", priority=PRIORITY)
    app.register_middleware(decorate, "response", priority=PRIORITY)


def is_preflight(request: Request[Any, Any]) -> bool:
    """Whether a browser asks if its page may send a request (Fetch §3.2.2); any other OPTIONS is the app's own."""
    if request.raw_method != b"OPTIONS":
        return False
    return "origin" in request.headers and "access-control-request-method" in request.headers


def _expect_path(request: Request[Any, Any]) -> None:
    """Raises `NotFound` (404) for a path that no method has; one that other methods have is what a preflight asks
    about."""
    with suppress(MethodNotAllowed):
        request.app.router.find(request)


class CorsPolicy:
    """The rules of one app, every header value rendered once; knows nothing of App, so it can be read and tested
    alone."""

    def __init__(
        self,
        origins: Sequence[str],
        methods: Sequence[str] = DEFAULT_METHODS,
        headers: Sequence[str] = (),
        expose_headers: Sequence[str] = (),
        credentials: bool = False,
        max_age_s: int = 600,
    ) -> None:
        self.allows_any = "*" in origins
        problems = list(_problems(origins, (*methods, *headers, *expose_headers), credentials))
        if "*" in (*methods, *headers) or ("*" in expose_headers and credentials):
            problems.append('CORS: "*" is no wildcard for methods and headers here, list them; nor is it one with credentials')
        if max_age_s < 0:
            problems.append(f"CORS: max_age_s is {max_age_s}, a time can't be negative")
        if problems:
            raise ConfigurationError(*problems)
        self._origins = frozenset(origins)
        self._methods = SAFELISTED_METHODS.union(methods)
        self._request_headers = frozenset(name.lower() for name in headers)
        self._answer_headers: dict[str, str] = {}
        if credentials:
            self._answer_headers["access-control-allow-credentials"] = "true"
        self._preflight_headers = self._answer_headers | {
            "access-control-allow-methods": ", ".join(sorted(self._methods)),
            "access-control-max-age": str(max_age_s),
            "vary": _PREFLIGHT_VARY,
        }
        if headers:
            self._preflight_headers["access-control-allow-headers"] = ", ".join(sorted(self._request_headers))
        if expose_headers:
            self._answer_headers["access-control-expose-headers"] = ", ".join(expose_headers)

    def knows(self, origin: str) -> bool:
        """Whether pages of this origin may call: equal to a configured one, or every origin is welcome."""
        return self.allows_any or origin in self._origins

    def answer(self, request: Request[Any, Any]) -> HTTPResponse:
        """The answer to a preflight, 204.

        Raises `Forbidden` (403, without CORS headers) for an origin, a method or a header that is not allowed.
        """
        fields = request.headers
        origin = fields["origin"]
        self._check(origin, fields["access-control-request-method"], fields.getall("access-control-request-headers", []))
        allowed = {"access-control-allow-origin": "*" if self.allows_any else origin}
        return empty(204, headers=allowed | self._preflight_headers)

    def decorate(self, origin: str | None, headers: Headers) -> None:
        """Add to an answer's headers what lets the page at `origin` read it; a value that a handler has set stays."""
        if "access-control-allow-origin" in headers:
            return
        if not self.allows_any:
            add_vary(headers, "Origin")
        if origin is not None and self.knows(origin):
            headers["access-control-allow-origin"] = "*" if self.allows_any else origin
            for name, value in self._answer_headers.items():
                headers[name] = value

    def _check(self, origin: str, method: str, header_lines: Iterable[str]) -> None:
        if not self.knows(origin):
            raise _refusal("Pages of this origin may not call this service")
        if method not in self._methods:
            raise _refusal("Pages of other origins may not use this method here")
        wanted = {name.strip().lower() for line in header_lines for name in line.split(",")} - {""}
        if not wanted <= self._request_headers:
            raise _refusal("Pages of other origins may not send one of these headers here")


def _refusal(message: str) -> FairleadException:
    return Forbidden(message, headers={"Vary": _PREFLIGHT_VARY})


def _problems(origins: Sequence[str], tokens: Sequence[str], credentials: bool) -> Iterable[str]:
    """What is wrong with the arguments, one line each."""
    if isinstance(origins, str):
        yield f"CORS: origins is one text ({origins!r}), give a list of origins"
        return
    if "*" in origins:
        if len(origins) > 1:
            yield 'CORS: "*" stands for every origin; list origins, or "*" alone'
        if credentials:
            yield 'CORS: credentials need a list of origins; "*" would let every page act as the user'
    for origin in origins:
        if origin != "*" and not is_origin(origin):
            yield f"CORS: {origin!r} is no origin as a browser sends it (scheme://host[:port], lower case, no path)"
    for token in tokens:
        if _TOKEN(token) is None:
            yield f"CORS: {token!r} is no method and no header name"
