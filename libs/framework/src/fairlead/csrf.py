"""Protection against forged requests: a page of somebody else's must not act with the user's cookie (CWE-352).

    Sessions(store).install(app)
    Csrf().install(app)

Two locks, because each has its gaps (OWASP CSRF Prevention sheet). A request that may change something (all methods but GET,
HEAD, OPTIONS and TRACE) is refused with 403 when

1. the browser says that another site's page has sent it: `Sec-Fetch-Site` (cross-site, same-site) or `Origin` that is neither our
   own nor among `origins`; or
2. it carries a cookie and no token of ours.

A request without a cookie can't abuse a session, so programs with a bearer token need no CSRF token. What else browsers add by
themselves (credentials of Basic, a TLS certificate) has the first lock only.

The token comes from `csrf_token(request)` and is sent back in the header `X-CSRF-Token` or the form field `csrf_token`. It is a
secret under a mask that is new each time, so that compressed pages don't give it away (BREACH). Where the secret is:

- in the session (synchroniser token), and a new one whenever the session is renewed; or,
- with `Csrf(secret)`, in a signed cookie of its own, `__Host-csrf`, for applications without sessions (a JWT in a cookie): no
  sub-domain and no plain HTTP can plant it, and nobody can make one up.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Awaitable, Sequence
from html import escape
from typing import Any, Final

from fairlead.errors import ConfigurationError, Forbidden
from fairlead.extension import Extension
from fairlead.http import media
from fairlead.http.cookies import Cookie, CookieJar
from fairlead.http.headers import add_vary
from fairlead.http.origin import is_origin, is_same_origin
from fairlead.request import Request
from fairlead.response import HTTPResponse
from fairlead.sessions.sessions import session_of
from fairlead.sessions.signer import Signer
from fairlead.settings import Secret
from fairlead.types import Middleware

__all__ = ["Csrf", "csrf_input", "csrf_token"]

HEADER: Final = "x-csrf-token"
COOKIE: Final = "__Host-csrf"
FIELD: Final = "csrf_token"
SESSION_KEY: Final = "_csrf"
SECRET_BYTES: Final = 32
_SITES_OF_OURS: Final = frozenset({"same-origin", "none"})
"""`none`: the user has typed the address or used a bookmark (Fetch Metadata §2.4)."""


class Csrf(Extension):
    """Refuses forged requests with `Forbidden` (403). Install it on an app or a blueprint; `@Csrf.exempt` leaves a route out.

    Without arguments the token's secret is in the session, so `Sessions` is installed as well. `secret` (one or several, as for
    `CookieStore`) signs a cookie instead. `origins` are further origins whose pages may send requests, "https://admin.example".
    Raises `ConfigurationError` for a secret that is none and for origins that are none.
    """

    order = 500

    def __init__(self, secret: Secret | str | Sequence[Secret | str] | None = None, *, origins: Sequence[str] = ()) -> None:
        self._signer = Signer(secret, "csrf cookie") if secret is not None else None
        self._origins = frozenset(origins)
        for origin in origins:
            if isinstance(origins, str) or not is_origin(origin):
                raise ConfigurationError(f"CSRF: {origin!r} is no origin as a browser sends it (scheme://host[:port], lower case)")

    def middleware(self) -> tuple[Middleware, Middleware]:
        """Check before the handler, set the cookie after it."""
        return self._check, self._set_cookie

    def _check(self, request: Request[Any, Any]) -> Awaitable[None] | None:
        holder = request.ctx.csrf = _CookieSecret(request, self._signer) if self._signer is not None else _SessionSecret(request)
        if request.is_safe or request.route is None or self.spares(request):
            return None
        self._check_origin(request)
        return self._check_token(request, holder) if "cookie" in request.headers else None

    async def _check_token(self, request: Request[Any, Any], holder: _SessionSecret | _CookieSecret) -> None:
        given = request.headers.get(HEADER) or await _field(request)
        if not given:
            raise _refusal("The request has no CSRF token")
        if not _matches(given, holder.find()):
            raise _refusal("The CSRF token is not valid, or no longer")

    def _check_origin(self, request: Request[Any, Any]) -> None:
        origin = request.headers.get("origin")
        if origin is not None:
            if origin not in self._origins and not is_same_origin(origin, request.scheme, request.host):
                raise _refusal("Pages of this origin may not send this request")
        elif request.headers.get("sec-fetch-site", "none") not in _SITES_OF_OURS:
            raise _refusal("Pages of other sites may not send this request")

    def _set_cookie(self, request: Request[Any, Any], response: HTTPResponse) -> None:
        holder = getattr(request.ctx, "csrf", None)
        if isinstance(holder, _CookieSecret):
            holder.keep(response)


class _SessionSecret:
    """The secret in the session, beside the moment when the session began: a renewed session has another."""

    def __init__(self, request: Request[Any, Any]) -> None:
        self._request = request

    def find(self) -> bytes | None:
        session = session_of(self._request)
        created_at, text = session.typed(SESSION_KEY, tuple[float, str], (0.0, ""))
        return _decoded(text) if created_at == session.created_at else None

    def make(self) -> bytes:
        session, secret = session_of(self._request), secrets.token_bytes(SECRET_BYTES)
        session[SESSION_KEY] = (session.created_at, _encoded(secret))
        return secret


class _CookieSecret:
    """The secret in a cookie, `secret.signature`."""

    def __init__(self, request: Request[Any, Any], signer: Signer) -> None:
        self._signer = signer
        self._value = request.cookies.get(COOKIE) or ""
        self._is_new = False
        self._is_used = False

    def find(self) -> bytes | None:
        self._is_used = True
        text, _, signature = self._value.partition(".")
        return _decoded(text) if self._signer.verifies(text.encode("utf-8", "replace"), signature) else None

    def make(self) -> bytes:
        secret = secrets.token_bytes(SECRET_BYTES)
        text = _encoded(secret)
        self._value, self._is_new = f"{text}.{self._signer.sign(text.encode())}", True
        return secret

    def keep(self, response: HTTPResponse) -> None:
        if self._is_used:
            add_vary(response.headers, "Cookie")
        if self._is_new:
            CookieJar(response.headers).add(Cookie("csrf", self._value, httponly=True, host_prefix=True))
            response.headers["cache-control"] = "no-store"


def csrf_token(request: Request[Any, Any]) -> str:
    """A token for the page or the script that is to send a request later; each call gives another, all of them stay good.

    They are good for as long as the session isn't renewed. Raises RuntimeError where `Csrf` is not installed.
    """
    holder: _SessionSecret | _CookieSecret | None = getattr(request.ctx, "csrf", None)
    if holder is None:
        raise RuntimeError("there are no CSRF tokens here: install fairlead.csrf.Csrf")
    secret = holder.find() or holder.make()
    mask = secrets.token_bytes(SECRET_BYTES)
    return _encoded(mask + _xor(mask, secret))


def csrf_input(request: Request[Any, Any]) -> _Html:
    """The token as a hidden field for an HTML form; templates take it as it is."""
    return _Html(f'<input type="hidden" name="{FIELD}" value="{escape(csrf_token(request))}">')


class _Html(str):
    """Text that is HTML already, as Jinja2 and others understand it."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


async def _field(request: Request[Any, Any]) -> str | None:
    """The token of a form; a handler that reads the stream by itself gets all of it, so its page sends the header."""
    kind = request.content_type.partition(";")[0].strip().lower()
    if kind not in (media.FORM, media.MULTIPART) or (request.route.stream and not request.route.reads_form):
        return None
    await request.receive_form()
    return request.form.get(FIELD)


def _matches(given: str, secret: bytes | None) -> bool:
    token = _decoded(given, 2 * SECRET_BYTES)
    if token is None or secret is None:
        return False
    return hmac.compare_digest(_xor(token[:SECRET_BYTES], token[SECRET_BYTES:]), secret)


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(SECRET_BYTES)


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _decoded(text: str, size: int = SECRET_BYTES) -> bytes | None:
    """The bytes of base64url; None for what is no such text of this size."""
    if len(text) > 4 * size:
        return None
    try:
        value = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    return value if len(value) == size else None


def _refusal(message: str) -> Forbidden:
    return Forbidden(message, headers={"Vary": "Cookie, Origin, Sec-Fetch-Site"})
