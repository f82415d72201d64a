"""Keys and key sets: what is read, what is published, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from fairlead.auth.keys import (
    MAX_DOCUMENT_BYTES,
    MAX_KEYS,
    KeySet,
    SigningKey,
    VerificationKey,
    load_public_key,
    thumbprint,
)
from fairlead.errors import ConfigurationError


def public_jwk(key: SigningKey, **changes: Any) -> dict[str, Any]:
    merged = {**key.public.jwk, **changes}
    return {name: value for name, value in merged.items() if value is not ...}


def test_thumbprint_is_that_of_the_rfc() -> None:
    """RFC 8037 appendix A.3 gives a key and its thumbprint."""
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    assert "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" == thumbprint(jwk)


def test_published_key_is_public() -> None:
    """P7: what is published has no private member, and says what it is for."""
    key = SigningKey.generate()
    assert {"kty", "crv", "x", "kid", "alg", "use"} == key.public.jwk.keys()
    assert (thumbprint(key.public.jwk), "EdDSA", "sig") == (key.kid, key.public.jwk["alg"], key.public.jwk["use"])
    assert key.kid in repr(key)


def test_set_is_read_back() -> None:
    """`to_json` and `from_json` are inverse, in order."""
    keys = [SigningKey.generate().public for _ in range(3)]
    assert keys == list(KeySet.from_json(KeySet(keys).to_json(), "EdDSA"))


async def test_look_up_by_kid() -> None:
    """A set gives the key of a `kid`, None for an unknown one; `find` is the same for the guard."""
    key = SigningKey.generate()
    keys = KeySet([key.public])
    assert (key.public, None) == (keys.get(key.kid), keys.get("other"))
    assert (key.public, None) == (await keys.find(key.kid), await keys.find("other"))


REFUSED: dict[str, dict[str, Any]] = {
    "symmetric": {"kty": "oct", "k": "c2VjcmV0"},
    "private": {"d": "c2VjcmV0"},
    "other curve": {"crv": "Ed448"},
    "for encryption": {"use": "enc"},
    "for signing only": {"key_ops": ["sign"]},
    "other algorithm": {"alg": "HS256"},
    "algorithm of another type": {"alg": 5},
    "no kty": {"kty": ...},
    "no x": {"x": ...},
    "x of another type": {"x": 5},
    "short x": {"x": "AAAA"},
    "empty kid": {"kid": ""},
    "kid of another type": {"kid": 5},
    "long kid": {"kid": "k" * 129},
}


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED.keys())
def test_unusable_keys_are_left_out(change: dict[str, Any]) -> None:
    """SEC-J02, SEC-J11: private, symmetric, malformed and foreign keys do not enter a set; the others of it do."""
    bad, good = public_jwk(SigningKey.generate(), **change), SigningKey.generate().public
    document = json.dumps({"keys": [bad, dict(good.jwk)]}).encode()
    assert [good] == list(KeySet.from_json(document, "EdDSA"))


def test_both_names_of_the_algorithm_are_known() -> None:
    """RFC 9864 calls the algorithm Ed25519; a key may also give none, and no kid."""
    jwks = [public_jwk(SigningKey.generate(), **change) for change in ({"alg": "Ed25519"}, {"alg": ..., "kid": ...})]
    keys = list(KeySet.from_json(json.dumps({"keys": jwks}).encode(), "EdDSA"))
    assert ["EdDSA", "EdDSA"] == [key.algorithm for key in keys]
    assert thumbprint(jwks[1]) == keys[1].kid


def test_first_key_of_a_kid_counts() -> None:
    """A second key can't take the place of the first."""
    first, second = SigningKey.generate(), SigningKey.generate()
    document = json.dumps({"keys": [public_jwk(first, kid="a"), public_jwk(second, kid="a")]}).encode()
    (key,) = KeySet.from_json(document, "EdDSA")
    assert first.public.jwk["x"] == key.jwk["x"]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": 5}',
        b'{"keys": []}',
        b'{"keys": [1, null, "key"]}',
        b"[" * 60_000,
        b" " * (MAX_DOCUMENT_BYTES + 1),
    ],
)
def test_document_that_is_no_set(document: bytes) -> None:
    """Whatever an issuer's address answers, the outcome is a ValueError and never anything else."""
    with pytest.raises(ValueError, match=r"^(not a JWK set|more than 65536 bytes|no usable key for EdDSA)$"):
        KeySet.from_json(document, "EdDSA")


def test_size_of_a_set_is_bounded() -> None:
    """A set that goes on and on is read up to a limit."""
    jwks = [public_jwk(SigningKey.generate()) for _ in range(MAX_KEYS + 1)]
    assert MAX_KEYS == len(KeySet.from_json(json.dumps({"keys": jwks}).encode(), "EdDSA"))


def test_other_algorithms() -> None:
    """Keys of an issuer of another kind (OpenID providers use RS256 and ES256) are read for that algorithm only."""
    p256 = jwt.get_algorithm_by_name("ES256").to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)
    p384 = jwt.get_algorithm_by_name("ES384").to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key(), as_dict=True)
    strong = jwt.get_algorithm_by_name("RS256").to_jwk(rsa.generate_private_key(65537, 2048).public_key(), as_dict=True)
    weak = jwt.get_algorithm_by_name("RS256").to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True)
    ed = dict(SigningKey.generate().public.jwk)
    document = json.dumps({"keys": [p256, p384, strong, weak, ed]}).encode()
    names = {"ES256": p256, "RS256": strong, "PS256": strong, "EdDSA": ed}
    for algorithm, jwk in names.items():
        (key,) = KeySet.from_json(document, algorithm)  # type: ignore[arg-type]
        assert (algorithm, thumbprint(jwk)) == (key.algorithm, key.kid)


def test_signing_key_is_read_from_pem_and_jwk(tmp_path: Path) -> None:
    """Both forms give the same key."""
    key = SigningKey.generate()
    pem, jwk = tmp_path / "key.pem", tmp_path / "key.jwk"
    pem.write_bytes(key.to_pem())
    jwk.write_text(jwt.get_algorithm_by_name("EdDSA").to_jwk(key.private))
    assert [key.kid, key.kid] == [SigningKey.load(pem).kid, SigningKey.load(jwk).kid]


def test_public_key_is_read_from_any_form(tmp_path: Path) -> None:
    """To publish a key, its public PEM, its public JWK or the private key itself will do."""
    key = SigningKey.generate()
    contents = {
        "public.pem": key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "public.jwk": json.dumps(dict(key.public.jwk)).encode(),
        "private.pem": key.to_pem(),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        assert key.public == load_public_key(tmp_path / name)


def _pem(private: Any, password: bytes | None = None) -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    content: bytes = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    return content


BAD_FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "neither an unencrypted PEM nor a JWK"),
    "noise": (lambda: b"\x00secret\xff", "neither an unencrypted PEM nor a JWK"),
    "JSON that is no key": (lambda: b'{"kty": "oct", "k": "secret"}', "neither an unencrypted PEM nor a JWK"),
    "broken JSON": (lambda: b'{"d": "secret', "neither an unencrypted PEM nor a JWK"),
    "encrypted": (lambda: _pem(SigningKey.generate().private, b"secret"), "neither an unencrypted PEM nor a JWK"),
    "another curve": (lambda: _pem(ed448.Ed448PrivateKey.generate()), "not an Ed25519 "),
    "another kind": (lambda: _pem(ec.generate_private_key(ec.SECP256R1())), "not an Ed25519 "),
}


@pytest.mark.parametrize(("content", "reason"), BAD_FILES.values(), ids=BAD_FILES.keys())
@pytest.mark.parametrize("load", [SigningKey.load, load_public_key])
def test_bad_key_file(tmp_path: Path, content: Callable[[], bytes], reason: str, load: Callable[[Path], object]) -> None:
    """K7: a file that is no key is one clear line with its path, and without its content."""
    path = tmp_path / "key"
    path.write_bytes(content())
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: {reason}")
    assert "secret" not in str(caught.value)


def test_missing_key_file(tmp_path: Path) -> None:
    """K7: a missing file says so."""
    with pytest.raises(ConfigurationError, match="No such file or directory"):
        SigningKey.load(tmp_path / "missing")


def test_public_key_does_not_sign(tmp_path: Path) -> None:
    """A service that is given the public half refuses to start instead of failing at the first sign-in."""
    path = tmp_path / "public.jwk"
    path.write_text(json.dumps(dict(SigningKey.generate().public.jwk)))
    with pytest.raises(ConfigurationError, match="not an Ed25519 private key"):
        SigningKey.load(path)


def test_key_of_another_algorithm_is_refused() -> None:
    """SEC-J03: a key is read for one algorithm; asking for another is an error."""
    with pytest.raises(ValueError, match="not a key for RS256"):
        VerificationKey.from_jwk(SigningKey.generate().public.jwk, "RS256")
