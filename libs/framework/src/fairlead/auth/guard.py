"""`@protected` and `Protected`: handlers that run only for who may call them.

How this works. `attach` gives an app a `Guard`: a verifier and where it finds keys. ``@protected(scope="…")`` wraps a
handler; for each request it finds the guard of ``request.app``, takes the token from where `fairlead.auth.credentials`
says, and puts the `Principal` into ``request.ctx.principal`` and into a parameter annotated with `Principal`. Only then
the body is read and validated: a stranger learns nothing from validation errors. So decorate nearest to the function::

    @products.post("/")
    @protected(scope="catalog:write")
    async def create(request: Request, new: Body[NewProduct], principal: Principal) -> HTTPResponse: ...

`Protected(scope="…")` does the same as middleware, as all extensions do: ``.install(app or blueprint)`` guards every
route there, ``@Protected.exempt`` lets one out, and a websocket is refused before it opens. In an app with a guard,
`Principal` is also a dependency: a handler that asks for one by annotation is protected by that alone.

Answers (RFC 6750 §3.1): 401 without a token (a bare challenge) or with a bad one (``error="invalid_token"``), 400 with
two Authorization headers (``error="invalid_request"``), 403 when a scope is missing (``error="insufficient_scope"``),
503 with Retry-After while the issuer's keys can't be had.

The health check is not critical unless asked for: an issuer that is down would otherwise take every service that trusts
it out of service, public routes included.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload
from weakref import WeakKeyDictionary

from fairlead.auth.credentials import MissingToken, token_of
from fairlead.auth.jwks import KeySource, RemoteKeySet
from fairlead.auth.keys import Algorithm, KeySet
from fairlead.auth.tokens import InvalidToken, Principal, TokenVerifier
from fairlead.errors import ConfigurationError, Forbidden
from fairlead.extension import Extension
from fairlead.http.cookies import HOST_PREFIX
from fairlead.injection import run_first
from fairlead.injection.signature import parameters_of
from fairlead.request import Request
from fairlead.types import Middleware

if TYPE_CHECKING:
    from fairlead.app import App

__all__ = ["Guard", "InsufficientScope", "MissingToken", "Protected", "attach", "guard_of", "protected"]

H = TypeVar("H", bound=Callable[..., Any])

logger = logging.getLogger("fairlead.auth")

CHECK_TIMEOUT_S: Final = 5.0
"""Longer than a fetch may take, so that the report shows the fetch's own reason."""

_guards: WeakKeyDictionary[Any, Guard] = WeakKeyDictionary()


class InsufficientScope(Forbidden):
    """403: the token is good, and does not allow this."""

    def __init__(self, scopes: frozenset[str]) -> None:
        wanted = " ".join(sorted(scopes))
        challenge = f'Bearer error="insufficient_scope", scope="{wanted}"'
        super().__init__(f"This needs the scope {wanted}", headers={"WWW-Authenticate": challenge})


class Guard:
    """Finds out who makes a request. Made by `attach`."""

    def __init__(self, verifier: TokenVerifier, keys: KeySource, cookie: str | None = None) -> None:
        self._verifier = verifier
        self._keys = keys
        self._cookie = cookie

    async def authenticate(self, request: Request[Any, Any], scopes: frozenset[str] = frozenset()) -> Principal:
        """The principal of a request, who must have all of `scopes`; also kept in ``request.ctx.principal``.

        Raises `MissingToken` and `InvalidToken` (401), `BadRequest` (400), `InsufficientScope` (403),
        `ServiceUnavailable` (503). For whatever is not decorated, call it by hand.
        """
        principal = await self.verify(token_of(request, self._cookie))
        request.ctx.principal = principal
        if not scopes <= principal.scopes:
            raise InsufficientScope(scopes)
        return principal

    async def verify(self, token: str) -> Principal:
        """The principal of a token that came some other way. Raises `InvalidToken` (401) and `ServiceUnavailable`
        (503).
        """
        try:
            return self._verifier.verify(token, await self._keys.find(self._verifier.key_id(token)))
        except InvalidToken as error:
            logger.info("access token refused", extra=error.extra)
            raise


def attach(
    app: App[Any, Any],
    *,
    issuer: str,
    audience: str,
    jwks_url: str | None = None,
    keys: KeySet | None = None,
    algorithm: Algorithm = "EdDSA",
    leeway_s: float = 30,
    cookie: str | None = None,
    critical: bool = False,
) -> Guard:
    """Let `app` have `protected` handlers: it accepts access tokens of `issuer` for `audience`, both compared exactly.

    The keys are those published at `jwks_url`, or `keys` for the issuer itself; give one of the two. `algorithm` is
    the only one that is accepted. `cookie` is the name of a cookie that may hold the token, too ("__Host-access"; then
    install `fairlead.csrf.Csrf`). Raises `ConfigurationError` when `jwks_url` is no URL, and for a cookie whose name
    does not keep other hosts and plain HTTP from setting it.
    """
    if cookie is not None and not cookie.startswith(HOST_PREFIX):
        raise ConfigurationError(f"the cookie for access tokens is to be named {HOST_PREFIX}…, not {cookie!r}")
    verifier = TokenVerifier(issuer=issuer, audience=audience, algorithm=algorithm, leeway_s=leeway_s)
    if keys is not None and jwks_url is None:
        guard = Guard(verifier, keys, cookie)
    elif jwks_url is not None and keys is None:
        guard = Guard(verifier, _remote(app, RemoteKeySet(jwks_url, algorithm=algorithm), critical), cookie)
    else:
        raise TypeError("give either jwks_url or keys")
    _guards[app] = guard

    async def principal(request: Request[Any, Any]) -> Principal:
        known = getattr(request.ctx, "principal", None)
        return known if isinstance(known, Principal) else await guard.authenticate(request)

    principal.__dict__["__fairlead_scopes__"] = frozenset()  # for the API's description, as below
    app.add_dependency(Principal, principal)
    return guard


def _remote(app: App[Any, Any], keys: RemoteKeySet, critical: bool) -> RemoteKeySet:
    async def close(_app: App[Any, Any]) -> None:
        await keys.close()

    app.after_server_stop(close)
    app.health.add("access token keys", keys.check, critical=critical, timeout_s=CHECK_TIMEOUT_S)
    return keys


def guard_of(app: Any) -> Guard:
    """The guard that was attached to `app`. Raises RuntimeError when there is none."""
    try:
        return _guards[app]
    except KeyError:
        raise RuntimeError(f"{app!r} has a protected handler and no guard: call fairlead.auth.attach") from None


@overload
def protected(handler: H) -> H: ...
@overload
def protected(*, scope: str | Iterable[str] = ()) -> Callable[[H], H]: ...
def protected(handler: H | None = None, *, scope: str | Iterable[str] = ()) -> Any:
    """Let a handler be called only with a valid access token that has all of `scope` (space separated, or several)."""
    scopes = frozenset(scope.split() if isinstance(scope, str) else scope)

    def decorate(handler: H) -> Callable[..., Awaitable[Any]]:
        return _guarded(handler, scopes)

    return decorate if handler is None else decorate(handler)


class Protected(Extension):
    """Guards an app, a blueprint, or a route: only requests with a valid access token that has all of `scope` go on.

    Paths that have no route stay a 404. Unlike `protected` it runs before a websocket opens, and before any other
    middleware of the application's own.
    """

    order = 400

    def __init__(self, *, scope: str | Iterable[str] = ()) -> None:
        self._scopes = frozenset(scope.split() if isinstance(scope, str) else scope)

    def middleware(self) -> tuple[Middleware, None]:
        """Before the handler; it carries what the API's description tells of the routes behind it."""

        async def authenticate(request: Request[Any, Any]) -> None:
            if request.route is not None and not self.spares(request):
                await guard_of(request.app).authenticate(request, self._scopes)

        authenticate.__dict__.update(__fairlead_scopes__=self._scopes, __fairlead_spares__=self.spares_handler)
        return authenticate, None


def _guarded(handler: Callable[..., Any], scopes: frozenset[str]) -> Callable[..., Awaitable[Any]]:
    names = _principal_parameters(handler)

    async def authenticate(request: Request[Any, Any]) -> dict[str, Principal]:
        principal = await guard_of(request.app).authenticate(request, scopes)
        return dict.fromkeys(names, principal)

    guarded = run_first(handler, authenticate, names)
    guarded.__dict__["__fairlead_scopes__"] = scopes  # for the API's description
    return guarded


def _principal_parameters(handler: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(parameter.name for parameter in parameters_of(handler) if parameter.kind in (Principal, "Principal"))
