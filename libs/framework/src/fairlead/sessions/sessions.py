"""`Sessions`: gives every request `request.ctx.session`, and stores what has become of it.

How this works. Before the handler the cookie's token is looked up; without a cookie nothing is asked. A session begins when
something is put into it, and its token is always one that we have made: one that a client brings and that we don't know is
worth nothing (session fixation). After the handler what has changed is written and the cookie set; a session that was only read
is written at most once in a tenth of `idle_timeout_s`, and one that nobody looked at not at all. After an answer of 500 or more
nothing is written: half a change is none.

Two clocks end a session: `idle_timeout_s` without a request that used it, and `lifetime_s` after it began, whatever happens
(OWASP Session Management). No cache may keep an answer that sets the cookie, and one that was made with the session varies with
the cookie.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, Self

from fairlead.errors import ConfigurationError
from fairlead.extension import Extension, Installable, provided
from fairlead.http.cookies import Cookie, CookieJar, SameSite
from fairlead.http.headers import add_vary
from fairlead.registrar import Registrar
from fairlead.request import Request
from fairlead.response import HTTPResponse
from fairlead.sessions.session import Session
from fairlead.sessions.store import Store
from fairlead.types import Middleware

__all__ = ["Sessions", "session_of"]

TOUCH_AFTER: Final = 0.1
"""Of the idle time: so much may pass before a session that is only read is written again."""


class Sessions(Extension):
    """Sessions of an app or a blueprint. `store` keeps them: a store, or a function of the app that gives one.

    The cookie is `__Host-session`, Secure, HttpOnly, SameSite=Lax, for the path "/". `secure=False` is for plain HTTP on a
    developer's machine: without `Secure` and without the prefix. `samesite="None"` needs `fairlead.csrf` or the like.

    Raises `ConfigurationError` for times that make no session.
    """

    order = 600

    def __init__(
        self,
        store: Store | Callable[[Any], Store],
        *,
        idle_timeout_s: float = 1800,
        lifetime_s: float = 28_800,
        cookie: str = "session",
        secure: bool = True,
        samesite: SameSite = "Lax",
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not 0 < idle_timeout_s <= lifetime_s:
            raise ConfigurationError("sessions: idle_timeout_s is positive and no longer than lifetime_s")
        self._store = store
        self._idle_timeout_s = idle_timeout_s
        self._lifetime_s = lifetime_s
        self._clock = clock
        self._cookie = Cookie(cookie, "", secure=secure, httponly=True, samesite=samesite, host_prefix=secure)

    def install(self, target: Installable) -> Self:
        """As for every extension; on an app or a blueprint `Session` is a dependency from then on: `session: Session`."""
        if isinstance(target, Registrar):
            target.add_dependency(Session, session_of)
        return super().install(target)

    def middleware(self) -> tuple[Middleware, Middleware]:
        """Load before the handler, store after it."""
        return self._load, self._keep

    async def _load(self, request: Request[Any, Any]) -> None:
        if self.spares(request):
            return
        now, record = self._clock(), None
        token = request.cookies.get(self._cookie.name)
        if token:
            record = await provided(self._store, request).load(token)
            if record is not None and (now >= record.seen_at + self._idle_timeout_s or now >= record.created_at + self._lifetime_s):
                record = None
        session = Session(now, record, token if record is not None else None)
        if request.route is not None and request.route.is_websocket:
            session.seal("a websocket's answer sets no cookie")
        request.ctx.session = session

    async def _keep(self, request: Request[Any, Any], response: HTTPResponse) -> None:
        session: Session | None = getattr(request.ctx, "session", None)
        if session is None or self.spares(request):
            return
        if session.accessed:
            add_vary(response.headers, "Cookie")
            if response.status < 500:
                await self._store_session(request, session, response)
        session.seal("its response has begun")

    async def _store_session(self, request: Request[Any, Any], session: Session, response: HTTPResponse) -> None:
        store, now = provided(self._store, request), self._clock()
        changed, record = session.changes(), session.record
        lifetime_s = min(self._idle_timeout_s, record.created_at + self._lifetime_s - now)
        if session.token is not None and not session.renewed and record.values:
            if changed or now - record.seen_at >= self._idle_timeout_s * TOUCH_AFTER:
                record.seen_at = now
                token = await store.update(session.token, record, changed, lifetime_s)
                if token is not None:  # else it has ended meanwhile: whoever ended it has the last word on the cookie
                    self._set_cookie(response, token, int(lifetime_s))
            return
        if record.values:
            record.seen_at = now
            self._set_cookie(response, await store.create(record, lifetime_s), int(lifetime_s))
        elif session.token is not None:
            self._set_cookie(response, "", 0)
        if session.token is not None:  # last: a session that can't be renewed is not lost
            await store.delete(session.token)

    def _set_cookie(self, response: HTTPResponse, value: str, max_age_s: int) -> None:
        set_cookie = Cookie(
            self._cookie.key,
            value,
            secure=self._cookie.secure,
            max_age=max_age_s,
            httponly=True,
            samesite=self._cookie.samesite,
            host_prefix=self._cookie.host_prefix,
        )
        CookieJar(response.headers).add(set_cookie)
        caching = response.headers.get("cache-control", "")
        if "no-store" not in caching and "private" not in caching:
            response.headers["cache-control"] = "no-store"


def session_of(request: Request[Any, Any]) -> Session:
    """`request.ctx.session` with its type. Raises RuntimeError where `Sessions` is not installed."""
    session = getattr(request.ctx, "session", None)
    if not isinstance(session, Session):
        raise RuntimeError("there are no sessions here: install fairlead.sessions.Sessions")
    return session
