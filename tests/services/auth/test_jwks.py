"""``/.well-known/jwks.json``: what is published, and that rotation refuses nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from auth.signing import write_new_key
from fairlead.auth import InvalidToken, SigningKey, TokenIssuer
from fairlead.auth.jwks import RemoteKeySet

from .conftest import ISSUER, PASSWORD, Open


async def test_keys_are_public_and_cacheable(open_auth: Open, signing_key_file: Path) -> None:
    """C1: the signing key's public half, for anybody, to be kept for five minutes."""
    auth = await open_auth()
    response = await auth.client.get("/.well-known/jwks.json")
    assert (200, "application/jwk-set+json") == (response.status_code, response.headers["content-type"])
    assert "public, max-age=300" == response.headers["cache-control"]
    (key,) = response.json()["keys"]
    assert dict(SigningKey.load(signing_key_file).public.jwk) == key
    assert {"kty", "crv", "x", "kid", "alg", "use"} == key.keys()


async def test_rotation(open_auth: Open, tmp_path: Path) -> None:
    """SEC-J13: tokens of the previous key are good while it is published, and refused when it is not; of the next key
    they are good at once, for it was published in advance."""
    published = tmp_path / "published"
    published.mkdir()
    old, new = write_new_key(tmp_path / "old.pem"), write_new_key(tmp_path / "new.pem")
    (published / "new.pem").write_bytes(new.to_pem())
    (published / "..data").mkdir()

    before = await open_auth(signing_key_file=tmp_path / "old.pem", published_keys_directory=published)
    assert 201 == (await before.register()).status_code
    token, _ = await before.tokens()
    keys = [key["kid"] for key in (await before.client.get("/.well-known/jwks.json")).json()["keys"]]
    assert [old.kid, new.kid] == keys

    (published / "new.pem").unlink()
    (published / "old.pem").write_bytes(old.to_pem())
    after = await open_auth(signing_key_file=tmp_path / "new.pem", published_keys_directory=published)
    principal = await after.verify(token)
    assert principal == await before.verify(token)
    await before.verify((await after.tokens())[0])

    end = await open_auth(signing_key_file=tmp_path / "new.pem")
    with pytest.raises(InvalidToken) as caught:
        await end.verify(token)
    assert "no key for this kid" == caught.value.extra["reason"]


async def test_another_service_fetches_the_keys(open_auth: Open) -> None:
    """C1: the fetcher of the other services understands what is published here."""
    auth = await open_auth()
    await auth.register()
    access, _ = await auth.tokens()
    keys = RemoteKeySet(f"{auth.url}/.well-known/jwks.json")
    principal = await auth.verify(access)
    kid = (await auth.client.get("/.well-known/jwks.json")).json()["keys"][0]["kid"]
    assert (kid, principal.subject) == (getattr(await keys.find(kid), "kid", None), principal.subject)


async def test_private_key_is_not_published(open_auth: Open, tmp_path: Path) -> None:
    """Publishing a private key's file publishes its public half, and a token of the service's own kind is needed anyway."""
    published = tmp_path / "published"
    published.mkdir()
    key = write_new_key(published / "next.pem")
    auth = await open_auth(published_keys_directory=published)
    assert all("d" not in entry for entry in (await auth.client.get("/.well-known/jwks.json")).json()["keys"])
    foreign = TokenIssuer(key, issuer=f"{ISSUER}/other", audience="fairlead", lifetime_s=60).issue("a", ())
    response = await auth.client.post(
        "/v1/accounts/me/password",
        json={"password": PASSWORD, "new_password": PASSWORD},
        headers={"Authorization": f"Bearer {foreign}"},
    )
    assert 401 == response.status_code
