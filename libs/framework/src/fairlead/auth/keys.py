"""Keys: those that sign access tokens, those that check them, and the JWK set in which the latter are published.

How this works. Every key has one algorithm, given by configuration and never taken from a token (SEC-J02, SEC-J03), and
a `kid`, its RFC 7638 thumbprint. A `KeySet` is a fixed map from `kid` to key: a `kid` is nothing but a look-up in it
(SEC-J05). Only public keys with asymmetric algorithms exist here, so no secret is shared between services and there is
none to guess (SEC-J11).

Rejected: symmetric algorithms (whoever can check a token could issue one), `kid` by date or counter (two issuers
collide), choosing the algorithm by the ``alg`` of a published key (the publisher would choose what we accept).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from fairlead.errors import ConfigurationError

__all__ = ["Algorithm", "KeySet", "SigningKey", "VerificationKey", "load_public_key", "thumbprint"]

Algorithm = Literal["EdDSA", "ES256", "PS256", "RS256"]

MAX_DOCUMENT_BYTES: Final = 65_536
MAX_KEYS: Final = 100
"""A set that is larger than this is a mistake or an attack; real ones hold two to five keys."""

MAX_KID_CHARACTERS: Final = 128
MAX_FILE_BYTES: Final = 16_384
MIN_RSA_BITS: Final = 2048

_FAMILIES: Final[Mapping[str, tuple[str, str | None]]] = {
    "EdDSA": ("OKP", "Ed25519"),
    "ES256": ("EC", "P-256"),
    "PS256": ("RSA", None),
    "RS256": ("RSA", None),
}
"""Algorithm → key type and curve (RFC 7518 §6, RFC 8037 §2)."""

_ALIASES: Final[Mapping[str, str]] = {"Ed25519": "EdDSA"}
"""RFC 9864 renames EdDSA with this curve; published keys may carry either name."""

_THUMBPRINT_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "RSA": ("e", "kty", "n"),
}


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """The SHA-256 thumbprint of a key (RFC 7638, RFC 8037 §2), which serves as its `kid`."""
    members = {name: jwk[name] for name in _THUMBPRINT_MEMBERS[jwk["kty"]]}
    digest = hashlib.sha256(msgspec.json.encode(members, order="sorted")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key with the one algorithm that it checks."""

    kid: str
    algorithm: Algorithm
    key: Any
    """The key as `cryptography` has it."""

    jwk: Mapping[str, Any]
    """What is published: the public members, `kid`, `alg` and `use`."""

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any], algorithm: Algorithm) -> VerificationKey:
        """Read a public JWK. Raises ValueError when it is private, symmetric, malformed, weak or meant for something
        else.
        """
        kty, crv = _FAMILIES[algorithm]
        if jwk.get("kty") != kty or (crv is not None and jwk.get("crv") != crv):
            raise ValueError(f"not a key for {algorithm}")
        if not jwk.keys().isdisjoint({"d", "p", "q", "k"}):
            raise ValueError("a private key")
        if jwk.get("use", "sig") != "sig" or "verify" not in jwk.get("key_ops", ["verify"]):
            raise ValueError("not for signatures")
        alg = jwk.get("alg", algorithm)
        if _ALIASES.get(alg, alg) != algorithm:
            raise ValueError(f"not for {algorithm}")
        members = {name: jwk[name] for name in _THUMBPRINT_MEMBERS[kty] if isinstance(jwk.get(name), str)}
        try:
            key = jwt.get_algorithm_by_name(algorithm).from_jwk(dict(members))
            own_kid = thumbprint(members)
        except (jwt.PyJWTError, KeyError, ValueError, TypeError) as error:
            raise ValueError(f"malformed: {error}") from None
        if kty == "RSA" and key.key_size < MIN_RSA_BITS:
            raise ValueError(f"fewer than {MIN_RSA_BITS} bits")
        kid = jwk.get("kid", own_kid)
        if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_CHARACTERS:
            raise ValueError("an impossible kid")
        return cls(kid, algorithm, key, {**members, "kid": kid, "alg": algorithm, "use": "sig"})


class SigningKey:
    """An Ed25519 private key that signs access tokens."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = VerificationKey.from_jwk(_jwk_of(private.public_key()), "EdDSA")

    def __repr__(self) -> str:
        return f"<SigningKey {self.kid}>"

    @property
    def kid(self) -> str:
        return self.public.kid

    @property
    def private(self) -> Ed25519PrivateKey:
        """For PyJWT; never print or publish it."""
        return self._private

    @classmethod
    def generate(cls) -> SigningKey:
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """Read a private key in PEM (PKCS #8) or as a JWK. Raises `ConfigurationError`, which never holds what was
        read.
        """
        private = _load(path)
        if not isinstance(private, Ed25519PrivateKey):
            raise ConfigurationError(f"{path}: not an Ed25519 private key")
        return cls(private)

    def to_pem(self) -> bytes:
        """The private key in PEM (PKCS #8), not encrypted."""
        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class KeySet:
    """A fixed set of public keys, in the order in which they are published."""

    def __init__(self, keys: Iterable[VerificationKey] = ()) -> None:
        self._keys = {key.kid: key for key in keys}

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[VerificationKey]:
        return iter(self._keys.values())

    def get(self, kid: str) -> VerificationKey | None:
        """The key with this `kid`, None when there is none."""
        return self._keys.get(kid)

    async def find(self, kid: str) -> VerificationKey | None:
        """The same for the guard, which may also be given a `RemoteKeySet`."""
        return self._keys.get(kid)

    def to_json(self) -> bytes:
        """The JWK set to publish (RFC 7517 §5)."""
        return msgspec.json.encode({"keys": [dict(key.jwk) for key in self]})

    @classmethod
    def from_json(cls, document: bytes, algorithm: Algorithm) -> KeySet:
        """Read a published set, leaving out what is no key for `algorithm` (RFC 7517 §5 asks for that).

        Of two keys with one `kid` the first counts. Raises ValueError when the document is no JWK set, is larger than
        `MAX_DOCUMENT_BYTES`, or has no usable key at all.
        """
        if len(document) > MAX_DOCUMENT_BYTES:
            raise ValueError(f"more than {MAX_DOCUMENT_BYTES} bytes")
        try:
            entries = msgspec.json.decode(document)["keys"][:MAX_KEYS]
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, RecursionError):
            raise ValueError("not a JWK set") from None
        keys: dict[str, VerificationKey] = {}
        for entry in entries:
            try:
                key = VerificationKey.from_jwk(entry, algorithm)
            except (ValueError, AttributeError):
                continue
            keys.setdefault(key.kid, key)
        if not keys:
            raise ValueError(f"no usable key for {algorithm}")
        return cls(keys.values())


def load_public_key(path: Path) -> VerificationKey:
    """Read an Ed25519 key to publish: PEM or JWK, of a private key only the public half. Raises
    `ConfigurationError`.
    """
    key = _load(path)
    if isinstance(key, Ed25519PrivateKey):
        key = key.public_key()
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigurationError(f"{path}: not an Ed25519 key")
    return VerificationKey.from_jwk(_jwk_of(key), "EdDSA")


def _load(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    try:
        if content.lstrip().startswith(b"{"):
            return jwt.get_algorithm_by_name("EdDSA").from_jwk(msgspec.json.decode(content))
        if b"-----BEGIN PUBLIC KEY-----" in content:
            return load_pem_public_key(content)
        return load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm, jwt.PyJWTError, msgspec.DecodeError):
        # The reason is kept back: it may quote what was read.
        raise ConfigurationError(f"{path}: neither an unencrypted PEM nor a JWK") from None


def _jwk_of(public: Ed25519PublicKey) -> dict[str, Any]:
    x = base64.urlsafe_b64encode(public.public_bytes_raw()).rstrip(b"=").decode()
    return {"kty": "OKP", "crv": "Ed25519", "x": x}
