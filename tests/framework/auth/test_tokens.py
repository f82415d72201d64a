"""Access tokens, attacked: each SEC-J requirement of the attack list as a table of forged tokens."""

import base64
import hashlib
import hmac
import json
import sys
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from fairlead.auth import InvalidToken, KeySet, Principal, SigningKey, TokenIssuer, TokenVerifier
from fairlead.auth.tokens import MAX_TOKEN_BYTES

from .conftest import AUDIENCE, ISSUER, NOW, claims, encoded, forge, header

KEY = SigningKey.generate()
OTHER = SigningKey.generate()
KEYS = KeySet([KEY.public, OTHER.public])
VERIFIER = TokenVerifier(issuer=ISSUER, audience=AUDIENCE, clock=lambda: NOW)


def check(token: str) -> Principal:
    """Verify as the guard does."""
    return VERIFIER.verify(token, KEYS.get(VERIFIER.key_id(token)))


def refused(token: str) -> InvalidToken:
    with pytest.raises(InvalidToken) as caught:
        check(token)
    error = caught.value
    assert 401 == error.status_code
    assert error.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')
    assert not token or token not in str(error) + repr(error.extra) + repr(error.headers)
    return error


def test_issued_token_is_accepted() -> None:
    """P7: what the issuer issues, the verifier accepts, with subject, scopes and end."""
    issuer = TokenIssuer(KEY, issuer=ISSUER, audience=AUDIENCE, lifetime_s=600, clock=lambda: NOW + 0.5)
    principal = check(issuer.issue("account-1", {"b", "a"}))
    assert ("account-1", frozenset({"a", "b"}), NOW + 600) == (
        principal.subject,
        principal.scopes,
        principal.expires_at,
    )
    assert {"iss", "aud", "sub", "scope", "iat", "exp", "jti"} == principal.claims.keys()
    assert principal.token_id
    assert {"alg": "EdDSA", "typ": "at+jwt", "kid": KEY.kid} == jwt.get_unverified_header(issuer.issue("a", ()))


def test_tokens_differ() -> None:
    """Two tokens for one account in one second have their own `jti`."""
    issuer = TokenIssuer(KEY, issuer=ISSUER, audience=AUDIENCE, lifetime_s=600, clock=lambda: NOW)
    assert check(issuer.issue("a", ())).token_id != check(issuer.issue("a", ())).token_id


@pytest.mark.parametrize("lifetime_s", [0, 901])
def test_lifetime_is_bounded(lifetime_s: int) -> None:
    """SEC-T03: an access token lives for 15 minutes at most."""
    with pytest.raises(ValueError, match="1 to 900 s"):
        TokenIssuer(KEY, issuer=ISSUER, audience=AUDIENCE, lifetime_s=lifetime_s)


@pytest.mark.parametrize("leeway_s", [-1, 61])
def test_leeway_is_bounded(leeway_s: float) -> None:
    """SEC-J08: the leeway is a minute at most."""
    with pytest.raises(ValueError, match="between 0 and 60"):
        TokenVerifier(issuer=ISSUER, audience=AUDIENCE, leeway_s=leeway_s)


ACCEPTED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as issued": ({}, {}),
    "typ in another case": ({"typ": "AT+JWT"}, {}),
    "typ as a whole media type": ({"typ": "application/at+jwt"}, {}),
    "aud among others": ({}, {"aud": ["other", AUDIENCE]}),
    "exp with a fraction": ({}, {"exp": NOW + 0.5}),
    "exp within the leeway": ({}, {"exp": NOW - 29}),
    "iat and nbf within the leeway": ({}, {"iat": NOW + 30, "nbf": NOW + 30}),
    "no scope, jti, iat": ({}, {"scope": ..., "jti": ..., "iat": ...}),
    "the other key": ({"kid": OTHER.kid}, {}),
}


@pytest.mark.parametrize(("head", "payload"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_good_tokens(head: dict[str, Any], payload: dict[str, Any]) -> None:
    """What RFC 9068 allows passes; otherwise the tables below would prove nothing."""
    key = OTHER if head.get("kid") == OTHER.kid else KEY
    assert claims()["sub"] == check(forge(key, header(KEY, **head), claims(**payload))).subject


def test_scopes_are_split_at_spaces() -> None:
    """RFC 6749 §3.3: a scope is a list of words; none is an empty set."""
    assert frozenset({"a", "b"}) == check(forge(KEY, header(KEY), claims(scope="a  b"))).scopes
    assert frozenset() == check(forge(KEY, header(KEY), claims(scope=""))).scopes


BAD_HEADERS: dict[str, dict[str, Any]] = {
    # SEC-J01
    **{f"alg {name}": {"alg": name} for name in ("none", "None", "NONE", "nOnE", "")},
    # SEC-J02, SEC-J03
    **{f"alg {name}": {"alg": name} for name in ("HS256", "RS256", "ES256", "Ed25519", "eddsa")},
    "alg missing": {"alg": ...},
    "alg a list": {"alg": ["EdDSA"]},
    "alg null": {"alg": None},
    # SEC-J05
    "kid missing": {"kid": ...},
    "kid a number": {"kid": 7},
    "kid a list": {"kid": [KEY.kid]},
    "kid null": {"kid": None},
    "kid a path": {"kid": "../../../../dev/null"},
    "kid an absolute path": {"kid": "/proc/self/environ"},
    "kid SQL": {"kid": "' UNION SELECT 'secret' --"},
    "kid shell": {"kid": "$(touch /tmp/x); | id"},
    "kid NUL": {"kid": f"{KEY.kid}\0"},
    "kid URL": {"kid": "http://127.0.0.1:1/key"},
    "kid a dunder": {"kid": "__class__"},
    "kid long": {"kid": "k" * 4000},
    "kid of nobody": {"kid": SigningKey.generate().kid},
    "kid of the other key": {"kid": OTHER.kid},
    # SEC-J06
    "jku": {"jku": "http://127.0.0.1:1/jwks.json"},
    "x5u": {"x5u": "http://127.0.0.1:1/chain.pem"},
    "jwk": {"jwk": dict(OTHER.public.jwk)},
    "x5c": {"x5c": ["MIIB"]},
    # SEC-J07
    "crit unknown": {"crit": ["https://example/ext"], "https://example/ext": 1},
    "crit empty": {"crit": []},
    "crit b64": {"crit": ["b64"], "b64": True},
    "b64": {"b64": True},
    # SEC-J10
    "typ missing": {"typ": ...},
    "typ JWT": {"typ": "JWT"},
    "typ of refresh tokens": {"typ": "rt+jwt"},
    "typ a list": {"typ": ["at+jwt"]},
    # a JWE's names
    "enc": {"enc": "A256GCM"},
    "zip": {"zip": "DEF"},
}


@pytest.mark.parametrize("change", BAD_HEADERS.values(), ids=BAD_HEADERS.keys())
def test_bad_headers(change: dict[str, Any]) -> None:
    """SEC-J01, J02, J03, J05, J06, J07, J10: truly signed with our key, and refused for what the header says."""
    assert not refused(forge(KEY, header(KEY, **change), claims())).extra["reason"].startswith("exp")


BAD_CLAIMS: dict[str, dict[str, Any]] = {
    # SEC-J08
    "exp past": {"exp": NOW - 30},
    "exp missing": {"exp": ...},
    "exp null": {"exp": None},
    "exp text": {"exp": str(NOW + 600)},
    "exp true": {"exp": True},
    "exp a list": {"exp": [NOW + 600]},
    "exp negative": {"exp": -1},
    "exp zero": {"exp": 0},
    "nbf future": {"nbf": NOW + 31},
    "nbf text": {"nbf": "0"},
    "nbf null": {"nbf": None},
    "iat future": {"iat": NOW + 31},
    "iat text": {"iat": "0"},
    # SEC-J09
    "iss missing": {"iss": ...},
    "iss longer": {"iss": f"{ISSUER}.attacker.example"},
    "iss shorter": {"iss": ISSUER[:-1]},
    "iss with a slash": {"iss": f"{ISSUER}/"},
    "iss in another case": {"iss": ISSUER.upper()},
    "iss empty": {"iss": ""},
    "iss a list": {"iss": [ISSUER]},
    "iss null": {"iss": None},
    "aud missing": {"aud": ...},
    "aud longer": {"aud": f"{AUDIENCE}-admin"},
    "aud a substring": {"aud": AUDIENCE[:4]},
    "aud empty": {"aud": []},
    "aud of others": {"aud": ["a", "b"]},
    "aud nested": {"aud": [[AUDIENCE]]},
    "aud an object": {"aud": {AUDIENCE: True}},
    "aud null": {"aud": None},
    # what a handler relies on
    "sub missing": {"sub": ...},
    "sub empty": {"sub": ""},
    "sub a number": {"sub": 1},
    "sub long": {"sub": "s" * 256},
    "sub with a line break": {"sub": "a\r\nb"},
    "sub a lone surrogate": {"sub": "\ud800"},
    "scope a list": {"scope": ["catalog:write"]},
    "scope null": {"scope": None},
    "jti a number": {"jti": 1},
}


@pytest.mark.parametrize("change", BAD_CLAIMS.values(), ids=BAD_CLAIMS.keys())
def test_bad_claims(change: dict[str, Any]) -> None:
    """SEC-J08, SEC-J09: truly signed with our key, and refused for what it claims."""
    refused(forge(KEY, header(KEY), claims(**change)))


def test_expired_token_says_so() -> None:
    """A client learns that it is time to refresh, and nothing else about why a token is refused."""
    assert "The access token has expired" == refused(forge(KEY, header(KEY), claims(exp=NOW - 31))).message
    assert "The access token is not valid" == refused(forge(KEY, header(KEY), claims(aud="other"))).message


def _with(**raw: str) -> bytes:
    """The claims of a good token, with values written out as given."""
    fields = {name: json.dumps(value) for name, value in claims().items()} | raw
    return ("{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}").encode()


BAD_PAYLOADS: dict[str, bytes] = {
    # SEC-J08
    "exp NaN": _with(exp="NaN"),
    "exp Infinity": _with(exp="Infinity"),
    "exp 1e400": _with(exp="1e400"),
    "exp of 5000 digits": _with(exp="9" * 5000),
    # SEC-J12
    "duplicate claim": _with()[:-1] + b',"sub":"admin"}',
    "duplicate claim, nested": _with(extra='{"a":1,"a":2}'),
    "a list": b"[]",
    "a number": b"5",
    "null": b"null",
    "empty object": b"{}",
    "not JSON": b"{",
    "two documents": _with() + b"{}",
    "not UTF-8": b'{"sub":"\xff"}',
    "UTF-16": json.dumps(claims()).encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + _with(),
    "deep": b"[" * 6000,
}


@pytest.mark.parametrize("payload", BAD_PAYLOADS.values(), ids=BAD_PAYLOADS.keys())
def test_bad_payloads(payload: bytes) -> None:
    """SEC-J08, SEC-J12: JSON that is malformed, ambiguous or too deep is refused, never a crash."""
    refused(forge(KEY, header(KEY), payload))


def test_a_claim_that_is_nested_as_deep_as_a_token_can_be() -> None:
    """SEC-J12: refused where Python cannot follow it (3.11), elsewhere a claim like others; never a crash."""
    token = forge(KEY, header(KEY), _with(extra="[" * 2500 + "]" * 2500))
    try:
        principal = check(token)
    except InvalidToken:
        assert sys.version_info < (3, 12)
    else:
        assert principal.subject == claims()["sub"]


GOOD = forge(KEY, header(KEY), claims())
HEAD, PAYLOAD, SIGNATURE = GOOD.split(".")
ADMIN = encoded(json.dumps(claims(sub="admin")).encode())


def _flipped(text: str, index: int) -> str:
    """The base64url text with one bit of one character's value changed."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:index] + alphabet[alphabet.index(text[index]) ^ 1] + text[index + 1 :]


BAD_FORMS: dict[str, str] = {
    "empty": "",
    "one part": HEAD,
    "dots": "..",
    # SEC-J01
    **{
        f"alg {name}, {kind}": f"{encoded(json.dumps(header(KEY, alg=name)).encode())}.{PAYLOAD}{signature}"
        for name in ("none", "None", "NONE", "nOnE")
        for kind, signature in (("no signature part", ""), ("empty signature", "."), ("a signature", f".{SIGNATURE}"))
    },
    # SEC-J04
    "signature missing": f"{HEAD}.{PAYLOAD}",
    "signature empty": f"{HEAD}.{PAYLOAD}.",
    "signature short": GOOD[:-2],
    "signature half": f"{HEAD}.{PAYLOAD}.{SIGNATURE[:43]}",
    "signature long": f"{GOOD}AA",
    "signature of the other key": forge(OTHER, header(KEY), claims()),
    "signature with spare bits set": f"{HEAD}.{PAYLOAD}.{_flipped(SIGNATURE, 85)}",
    "payload swapped": f"{HEAD}.{ADMIN}.{SIGNATURE}",
    "parts swapped": f"{PAYLOAD}.{HEAD}.{SIGNATURE}",
    # SEC-J12
    "five parts": f"{HEAD}.{PAYLOAD}.{SIGNATURE}.{PAYLOAD}.{SIGNATURE}",
    "four parts": f"{GOOD}.{SIGNATURE}",
    "padded": f"{HEAD}==.{PAYLOAD}.{SIGNATURE}",
    "padded at the end": f"{GOOD}==",
    "space inside": f"{HEAD}. {PAYLOAD}.{SIGNATURE}",
    "line break inside": f"{HEAD}.{PAYLOAD}\n.{SIGNATURE}",
    "line break after": f"{GOOD}\n",
    "standard base64": GOOD.replace("-", "+").replace("_", "/") + "/",
    "not ASCII": f"{HEAD}é.{PAYLOAD}.{SIGNATURE}",
    "wide letters": f"{HEAD}Ａ.{PAYLOAD}.{SIGNATURE}",
    "impossible length": f"{HEAD}.{PAYLOAD}.A",
    "too large": forge(KEY, header(KEY), claims(extra="x" * MAX_TOKEN_BYTES)),
    "a megabyte": "a" * 1_000_000,
    "a megabyte of dots": "." * 1_000_000,
    "header of an impossible length": f"abcde.{PAYLOAD}.{SIGNATURE}",
    "deep header": f"{encoded(b'[' * 5000)}.{PAYLOAD}.{SIGNATURE}",
    "header a list": f"{encoded(b'[]')}.{PAYLOAD}.{SIGNATURE}",
    "header not UTF-8": f"{encoded(bytes([255, 254]))}.{PAYLOAD}.{SIGNATURE}",
}


@pytest.mark.parametrize("token", BAD_FORMS.values(), ids=BAD_FORMS.keys())
def test_bad_forms(token: str) -> None:
    """SEC-J01, SEC-J04, SEC-J12: what is no compact JWS with exactly our signature is refused."""
    refused(token)


def test_duplicate_header_names_are_refused() -> None:
    """SEC-J12: two `alg` could be read one way here and another way there."""
    twice = b'{"alg":"none",' + json.dumps(header(KEY)).encode()[1:]
    refused(forge(KEY, twice, claims()))


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 5))
def test_any_flipped_bit_is_refused(index: int, bit: int) -> None:
    """SEC-J04: no bit of a token can be changed, the spare ones of the encoding included."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    if GOOD[index] == ".":
        return
    changed = alphabet[alphabet.index(GOOD[index]) ^ (1 << bit)]
    with pytest.raises(InvalidToken):
        check(GOOD[:index] + changed + GOOD[index + 1 :])


@given(st.text(max_size=200) | st.from_regex(r"[\w-]{0,80}\.[\w-]{0,80}\.[\w-]{0,80}", fullmatch=True))
def test_any_text_is_refused_cleanly(token: str) -> None:
    """SEC-J12: whatever is sent as a token, the answer is a 401."""
    with pytest.raises(InvalidToken):
        check(token)


def _hmac_keys() -> dict[str, bytes]:
    """Everything that an attacker can make of a public key, to be used as an HMAC secret (SEC-J02)."""
    public = KEY.private.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    jwk = json.dumps(dict(KEY.public.jwk)).encode()
    return {
        "PEM": pem,
        "PEM without the last line break": pem.rstrip(b"\n"),
        "PEM with CRLF": pem.replace(b"\n", b"\r\n"),
        "PEM on one line": pem.replace(b"\n", b""),
        "PEM with spaces around": b" " + pem + b" ",
        "PEM with a NUL": pem + b"\0",
        "DER": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "raw": public.public_bytes_raw(),
        "OpenSSH": public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        "JWK": jwk,
        "JWK compact": jwk.replace(b" ", b""),
        "JWK set": KEYS.to_json(),
        "x": str(KEY.public.jwk["x"]).encode(),
        "empty": b"",
    }


@pytest.mark.parametrize("secret", _hmac_keys().values(), ids=_hmac_keys().keys())
@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512", "EdDSA"])
def test_public_key_as_hmac_secret(algorithm: str, secret: bytes) -> None:
    """SEC-J02: a token that is signed by HMAC with our published key is refused, whatever it says of its algorithm."""
    signed = f"{encoded(json.dumps(header(KEY, alg=algorithm)).encode())}.{PAYLOAD}"
    digest = {"HS384": hashlib.sha384, "HS512": hashlib.sha512}.get(algorithm, hashlib.sha256)
    refused(f"{signed}.{encoded(hmac.new(secret, signed.encode(), digest).digest())}")


def _rsa_set() -> tuple[rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, KeySet]:
    private, curve = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
    jwks = [
        {**jwt.get_algorithm_by_name("RS256").to_jwk(private.public_key(), as_dict=True), "kid": "rsa"},
        {**jwt.get_algorithm_by_name("ES256").to_jwk(curve.public_key(), as_dict=True), "kid": "ec"},
        {**KEY.public.jwk, "kid": "ed"},
    ]
    return private, curve, KeySet.from_json(json.dumps({"keys": jwks}).encode(), "RS256")


def test_one_algorithm_of_a_mixed_set() -> None:
    """SEC-J03: of an issuer that publishes keys of several kinds, only those of the configured algorithm count."""
    private, curve, keys = _rsa_set()
    verifier = TokenVerifier(issuer=ISSUER, audience=AUDIENCE, algorithm="RS256", clock=lambda: NOW)

    def verify(token: str) -> Principal:
        return verifier.verify(token, keys.get(verifier.key_id(token)))

    def signed(key: Any, algorithm: str, kid: str, alg: str) -> str:
        return _relabelled(jwt.encode(claims(), key, algorithm, {"typ": "at+jwt", "kid": kid}), key, algorithm, alg)

    assert verify(signed(private, "RS256", "rsa", "RS256")).subject == claims()["sub"]
    for token in (
        signed(private, "PS256", "rsa", "PS256"),
        signed(private, "PS256", "rsa", "RS256"),
        signed(private, "RS512", "rsa", "RS256"),
        signed(curve, "ES256", "ec", "ES256"),
        signed(curve, "ES256", "ec", "RS256"),
        signed(curve, "ES256", "rsa", "RS256"),
        forge(KEY, header(KEY, kid="ed"), claims()),
        forge(KEY, header(KEY, kid="ed", alg="RS256"), claims()),
        forge(KEY, header(KEY, kid="rsa", alg="RS256"), claims()),
    ):
        with pytest.raises(InvalidToken):
            verify(token)


def _relabelled(token: str, key: Any, algorithm: str, alg: str) -> str:
    """The token with another `alg` in its header, signed by its own algorithm again."""
    head, payload, _ = token.split(".")
    fields = json.loads(base64.urlsafe_b64decode(head + "=="))
    signed = f"{encoded(json.dumps({**fields, 'alg': alg}).encode())}.{payload}"
    prepared = jwt.get_algorithm_by_name(algorithm)
    return f"{signed}.{encoded(prepared.sign(signed.encode(), prepared.prepare_key(key)))}"


def test_key_of_another_algorithm_is_never_used() -> None:
    """SEC-J03: even a source that finds a key of another kind for the `kid` can't make the verifier use it."""
    verifier = TokenVerifier(issuer=ISSUER, audience=AUDIENCE, algorithm="RS256", clock=lambda: NOW)
    with pytest.raises(InvalidToken):
        verifier.verify(forge(KEY, header(KEY, alg="RS256"), claims()), KEY.public)
    with pytest.raises(InvalidToken):
        VERIFIER.verify(GOOD, OTHER.public)


def test_reading_the_kid_verifies_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """`key_id` alone is no check: the same token with another payload still names its key."""
    read: Callable[[str], str] = VERIFIER.key_id
    assert KEY.kid == read(f"{HEAD}.{ADMIN}.{SIGNATURE}")
