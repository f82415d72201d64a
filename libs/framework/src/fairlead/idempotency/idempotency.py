"""`Idempotency`: a decorator for handlers that must not run twice for one intention.

A client makes up a key and sends it as `Idempotency-Key`; when it hears nothing, it sends the same request again:

- the first request is done, and its answer kept for as long as the store says;
- the same again gets that answer, with `Idempotent-Replayed: true`, and nothing is done;
- while the first is being handled: 409 with Retry-After;
- another request (method, target or body) under the key: 422;
- a key that is none (more than 255 characters, say): 400. Without a key the handler runs as ever, unless `required`: 400.

What is kept is what the handler gives back below 500. When it raises, when it answers 500 or more, or when its client leaves before
it is done, the key is free again: the client may try once more. With `PostgresStore` that is exact, since the work is undone with
it; with the others, what was done before the failure stays done.

Keys belong to `scope`, the account of `fairlead.auth` unless told otherwise: nobody gets another's answer by guessing a key.

Decorate nearest to the function, below `@protected`: a stranger, or a body that is not valid, then uses up no key. It is a wrapper
and no middleware, because it must hold the key until the handler has ended, however it ends.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

from fairlead.composition import result_of
from fairlead.errors import BadRequest, Conflict
from fairlead.extension import provided
from fairlead.http import media
from fairlead.idempotency.store import KeyReused, Store, StoredAnswer
from fairlead.request import Request
from fairlead.response import HTTPResponse, respond_with

__all__ = ["Idempotency", "scope_of_account"]

H = TypeVar("H", bound=Callable[..., Any])

HEADER: Final = "idempotency-key"
MAX_BODY_BYTES: Final = 65_536
_QUOTED: Final = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,255})"').fullmatch
"""A string of RFC 9651, as the draft has it."""

_BARE: Final = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,255}", re.ASCII).fullmatch
"""As many clients send it."""


_SAME: Final = b"%b %b\n%b\n%b"
"""Method, target, media type, body."""


def scope_of_account(request: Request[Any, Any]) -> str:
    """The account that `fairlead.auth` has let in; "" for requests without one."""
    principal = getattr(request.ctx, "principal", None)
    return principal.subject if principal is not None else ""


class Idempotency:
    """Decorator. `store` keeps answers: a store, or a function of the app that gives one.

    An answer longer than `max_body_bytes`, and a streamed one, is sent and not kept: the same request again gets 409.
    """

    def __init__(
        self,
        store: Store | Callable[[Any], Store],
        *,
        required: bool = False,
        scope: Callable[[Request[Any, Any]], str] = scope_of_account,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._store = store
        self._required = required
        self._scope = scope
        self._max_body_bytes = max_body_bytes

    def __call__(self, handler: H) -> H:
        """The handler that runs once for each key."""

        @functools.wraps(handler)
        async def once(request: Request[Any, Any], *values: Any, **named: Any) -> Any:
            key = _key_of(request)
            if key is None:
                if self._required:
                    raise BadRequest("This request needs an Idempotency-Key")
                return await result_of(handler(request, *values, **named))
            if request.stream is not None and not request.route.reads_form:
                raise RuntimeError("a streaming route can't have idempotency keys: what makes its requests the same is not known")
            fingerprint = await _fingerprint(request)
            async with provided(self._store, request).claim(_digest(self._scope(request), key)) as claim:
                if claim.stored is not None:
                    return _replay(claim.stored, fingerprint)
                request.ctx.idempotency = claim
                answer = await result_of(handler(request, *values, **named))
                response = None if request.responded else _respond(request, answer)
                if response is None or response.status < 500:
                    await claim.keep(self._stored(fingerprint, response))
                return response

        return once  # type: ignore[return-value]

    def _stored(self, fingerprint: bytes, response: HTTPResponse | None) -> StoredAnswer:
        if response is None or len(response.body) > self._max_body_bytes:
            return StoredAnswer(fingerprint, 409, [], None, None)
        headers = response.set_headers.multi_items() if response.set_headers is not None else []
        return StoredAnswer(fingerprint, response.status, headers, response.content_type, response.body)


def _respond(request: Request[Any, Any], answer: Any) -> HTTPResponse:
    """The response that an answer becomes: `@responds` may stand above, where it would come too late for what is kept."""
    respond: Callable[[Any], HTTPResponse] = getattr(request.route.handler, "__fairlead_respond__", respond_with)
    return respond(answer)


def _key_of(request: Request[Any, Any]) -> str | None:
    """The key that was sent; None without one. Raises `BadRequest` (400) for what is none."""
    values = request.headers.getall(HEADER, [])
    if not values:
        return None
    quoted = _QUOTED(values[0])
    if len(values) > 1 or (quoted is None and _BARE(values[0]) is None):
        raise BadRequest("Idempotency-Key is one text in quotes, of 1 to 255 characters")
    return re.sub(r"\\(.)", r"\1", quoted[1]) if quoted is not None else values[0]


def _digest(scope: str, key: str) -> str:
    """Under what a key is kept: of fixed length, and apart for each scope."""
    return hashlib.sha256(f"{len(scope)}:{scope}{key}".encode("utf-8", "surrogatepass")).hexdigest()


async def _fingerprint(request: Request[Any, Any]) -> bytes:
    """What makes two requests the same. Of a multipart form it is what the form says: its boundary is another each time."""
    kind = media.split_parameters(request.content_type)[0]
    if kind != media.MULTIPART:
        return hashlib.sha256(
            _SAME % (request.raw_method, request.target, request.content_type.encode("latin-1"), request.body)
        ).digest()
    digest = hashlib.sha256(_SAME % (request.raw_method, request.target, kind.encode(), repr(list(request.form.items())).encode()))
    for name, files in request.files.items():
        for file in files:
            digest.update(repr((name, file.name, file.type, file.size)).encode())
            async for piece in file:
                digest.update(piece)
    return digest.digest()


def _replay(stored: StoredAnswer, fingerprint: bytes) -> HTTPResponse:
    if stored.fingerprint != fingerprint:
        raise KeyReused
    if stored.body is None:
        raise Conflict("This request was done; its answer was too long to be kept")
    response = HTTPResponse(stored.body, stored.status, stored.headers, stored.content_type)
    response.headers["idempotent-replayed"] = "true"
    return response
