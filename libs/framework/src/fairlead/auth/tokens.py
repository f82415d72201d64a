"""Access tokens: signed by one service, checked by all others (RFC 9068 profile of RFC 7519, with the advice of RFC
8725).

How this works. A token is taken apart by hand first, strictly: three base64url parts of at most
`MAX_TOKEN_BYTES`, a JSON header without duplicate names that says exactly what was configured (``alg``, ``typ:
at+jwt``) and nothing that we would have to understand (``crit``) or to follow (``jku``, ``x5u``, ``jwk``, ``x5c``).
Then PyJWT checks the signature with the one key that ``kid`` names in a fixed map. Only then the claims are read,
again strictly.

Whatever is wrong, the client hears `InvalidToken`: 401, "not valid" or "expired" and no more. The reason goes to the
log; the token itself goes nowhere (SEC-T05).

Rejected: `jwt.decode` for the claims: it accepts ``"exp": "1893456000"`` and duplicate names. Accepting
several algorithms at once: every confusion attack begins with that.
"""

from __future__ import annotations

import base64
import json
import math
import re
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NoReturn

import jwt
import msgspec

from fairlead.auth.keys import Algorithm, SigningKey, VerificationKey
from fairlead.errors import Unauthorized

__all__ = ["InvalidToken", "Principal", "TokenIssuer", "TokenVerifier"]

MAX_TOKEN_BYTES: Final = 8192
"""What fits a request head with its usual limit of 8 to 16 KiB."""

MAX_LEEWAY_S: Final = 60
MAX_LIFETIME_S: Final = 900
"""An access token can't be called back, so it lives for a quarter of an hour at most (SEC-T03)."""

MAX_SUBJECT_CHARACTERS: Final = 255

_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_TYPES: Final = frozenset({"at+jwt", "application/at+jwt"})
_REFUSED_HEADERS: Final = frozenset({"crit", "b64", "jku", "jwk", "x5u", "x5c", "zip", "enc"})
_signatures: Final = jwt.PyJWS(options={"enforce_minimum_key_length": True})


class InvalidToken(Unauthorized):
    """401: the token is not valid, or has expired. `extra["reason"]` says why, for the log only."""

    def __init__(self, reason: str, *, expired: bool = False) -> None:
        message = "The access token has expired" if expired else "The access token is not valid"
        super().__init__(
            message,
            scheme="Bearer",
            error="invalid_token",
            error_description=message,
            extra={"reason": reason},
        )


class Principal(msgspec.Struct, frozen=True):
    """Who makes the request, as the access token says."""

    subject: str
    """The account (claim ``sub``)."""

    scopes: frozenset[str]
    token_id: str
    """The claim ``jti``; "" when the issuer gives none."""

    expires_at: float
    """Seconds since the epoch; a connection that outlives its request must end then (SEC-W02)."""

    claims: Mapping[str, Any]
    """All claims, for those of the issuer's own."""

    @property
    def session(self) -> str:
        """The session that the token was issued in (claim ``sid``); "" when the issuer names none."""
        session = self.claims.get("sid", "")
        return session if isinstance(session, str) else ""


class TokenIssuer:
    """Issues access tokens for one audience."""

    def __init__(
        self,
        key: SigningKey,
        *,
        issuer: str,
        audience: str,
        lifetime_s: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not 0 < lifetime_s <= MAX_LIFETIME_S:
            raise ValueError(f"an access token lives for 1 to {MAX_LIFETIME_S} s")
        self._key = key
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self.lifetime_s = lifetime_s

    def issue(self, subject: str, scopes: Iterable[str], *, session: str = "") -> str:
        """A signed token. It is valid from now on for `lifetime_s`. `session` becomes the claim ``sid``: what a logout ends."""
        now = int(self._clock())
        claims = {
            **({"sid": session} if session else {}),
            "iss": self._issuer,
            "aud": self._audience,
            "sub": subject,
            "scope": " ".join(sorted(scopes)),
            "iat": now,
            "exp": now + self.lifetime_s,
            "jti": str(uuid.uuid4()),
        }
        headers = {"typ": "at+jwt", "kid": self._key.kid}
        return jwt.encode(claims, self._key.private, algorithm=self._key.public.algorithm, headers=headers)


class TokenVerifier:
    """Checks access tokens of one issuer for one audience. Two steps, so that finding the key may take its time:

    `key_id` gives the key to look for, `verify` checks the token with it. Both raise `InvalidToken`.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        algorithm: Algorithm = "EdDSA",
        leeway_s: float = 30,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not 0 <= leeway_s <= MAX_LEEWAY_S:
            raise ValueError(f"leeway_s is between 0 and {MAX_LEEWAY_S}")
        self._issuer = issuer
        self._audience = audience
        self._algorithm = algorithm
        self._leeway_s = leeway_s
        self._clock = clock

    def key_id(self, token: str) -> str:
        """The `kid` of a token whose form and header are as they must be. Nothing is verified yet."""
        if len(token) > MAX_TOKEN_BYTES or _COMPACT.fullmatch(token) is None:
            raise InvalidToken("not a compact JWS of acceptable size")
        header = _parse(_decode(token.partition(".")[0]), "header")
        if header.get("alg") != self._algorithm:
            raise InvalidToken("alg is not the configured one")
        typ = header.get("typ")
        if not isinstance(typ, str) or typ.lower() not in _TYPES:
            raise InvalidToken("typ is not at+jwt")
        if not _REFUSED_HEADERS.isdisjoint(header):
            raise InvalidToken("the header asks for something that is not supported")
        kid = header.get("kid")
        if not isinstance(kid, str):
            raise InvalidToken("no kid")
        return kid

    def verify(self, token: str, key: VerificationKey | None) -> Principal:
        """Who the token speaks for; `key` is what was found for `key_id`, None when nothing was."""
        self.key_id(token)
        if key is None or key.algorithm != self._algorithm:
            raise InvalidToken("no key for this kid")
        try:
            payload = _signatures.decode_complete(token, key.key, algorithms=[key.algorithm])["payload"]
        except jwt.PyJWTError as error:
            raise InvalidToken(f"{type(error).__name__}: {error}") from None
        return self._read(_parse(payload, "payload"))

    def _read(self, claims: Mapping[str, Any]) -> Principal:
        if claims.get("iss") != self._issuer:
            raise InvalidToken("another issuer")
        audiences = claims.get("aud")
        if isinstance(audiences, str):
            audiences = [audiences]
        if not isinstance(audiences, list) or self._audience not in audiences:
            raise InvalidToken("another audience")
        expires_at = self._check_times(claims)
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_CHARACTERS or not subject.isprintable():
            raise InvalidToken("sub is no name of an account")
        scope, token_id = claims.get("scope", ""), claims.get("jti", "")
        if not isinstance(scope, str) or not isinstance(token_id, str):
            raise InvalidToken("scope or jti is not text")
        return Principal(subject, frozenset(scope.split()), token_id, expires_at, claims)

    def _check_times(self, claims: Mapping[str, Any]) -> float:
        """RFC 7519 §4.1.4–6: exp is required; nbf and iat, when they are there, may not lie in the future."""
        now = self._clock()
        expires_at = _time(claims, "exp")
        if expires_at is None:
            raise InvalidToken("no exp")
        if expires_at <= now - self._leeway_s:
            raise InvalidToken("exp is in the past", expired=True)
        for name in ("nbf", "iat"):
            begins_at = _time(claims, name)
            if begins_at is not None and begins_at > now + self._leeway_s:
                raise InvalidToken(f"{name} is in the future")
        return expires_at


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidToken(f"{name} is no time")
    return value


def _decode(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise InvalidToken("the header is not base64url") from None


def _parse(document: bytes, name: str) -> dict[str, Any]:
    """A JSON object without duplicate names (RFC 7519 §4), NaN and other inventions.

    PERF: the standard library's parser, because msgspec can't be made to see duplicates; 4 µs for a usual token beside
    about 100 µs for the signature.
    """
    try:
        value = json.loads(document.decode(), object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise InvalidToken(f"the {name} is not clean JSON") from None
    if not isinstance(value, dict):
        raise InvalidToken(f"the {name} is no object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("duplicate name")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
