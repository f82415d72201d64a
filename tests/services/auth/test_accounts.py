"""``/v1/accounts`` from outside: registration, passwords, and what an attacker learns (nothing)."""

from __future__ import annotations

import asyncio
from typing import Any

import argon2
import httpx
import pytest

from fairlead.auth import SigningKey, TokenIssuer

from .conftest import EMAIL, ISSUER, PASSWORD, Auth, Database, Open, comparable, counted


async def change_password(
    auth: Auth, token: str, password: str = PASSWORD, new_password: str = "another long password"
) -> httpx.Response:
    return await auth.client.post(
        "/v1/accounts/me/password",
        json={"password": password, "new_password": new_password},
        headers={"Authorization": f"Bearer {token}"},
    )


async def test_registration(auth: Auth, database: Database) -> None:
    """C1: 201 with the account as it is stored, in no cache, and without anything of the password."""
    response = await auth.register(" Owner@Example.COM ")
    assert 201 == response.status_code
    assert "no-store" == response.headers["cache-control"]
    body = response.json()
    assert {"id", "email", "scopes", "created_at"} == body.keys()
    assert ("owner@example.com", ["catalog:write"]) == (body["email"], body["scopes"])
    row = await database.fetchrow("SELECT id, email, created_at FROM accounts")
    assert row is not None
    assert (str(row["id"]), row["email"]) == (body["id"], body["email"])


async def test_address_names_one_account(owner: Auth) -> None:
    """Upper and lower case are the same account, at registration and at sign-in."""
    assert 200 == (await owner.sign_in("OWNER@EXAMPLE.com")).status_code
    await owner.register("Owner@Example.com", "a thief's password")
    assert 401 == (await owner.sign_in(EMAIL, "a thief's password")).status_code
    assert 200 == (await owner.sign_in()).status_code


async def test_registration_does_not_tell_who_is_registered(owner: Auth, database: Database) -> None:
    """SEC-P04: an address that is taken gets the same answer, looks as new, and its account is untouched."""
    before = await database.fetchrow("SELECT id, email, password_hash, scopes, version, created_at FROM accounts")
    taken, free = await owner.register(EMAIL, "a thief's password"), await owner.register("free@example.com", "a password of mine")
    (status, headers, body), expected = comparable(taken), comparable(free)
    for varying in (headers, expected[1]):
        varying.pop("content-length")  # that of the address
    assert (expected[0], expected[1], expected[2].keys()) == (status, headers, body.keys())
    assert len(free.json()["id"]) == len(body["id"])
    assert body["id"] != str(before["id"]) if before else False
    after = await database.fetchrow(
        "SELECT id, email, password_hash, scopes, version, created_at FROM accounts WHERE email = $1", EMAIL
    )
    assert before == after


async def test_registration_costs_the_same_for_everybody(owner: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    """SEC-P04: one hash for an address that is taken, one for an address that is free."""
    hashes = counted(monkeypatch, "hash")
    await owner.register()
    await owner.register("free@example.com")
    assert 2 == len(hashes)


async def test_simultaneous_registrations(auth: Auth, database: Database) -> None:
    """Ten at once for one address: ten equal answers, one account."""
    await auth.warm_up()
    responses = await asyncio.gather(*(auth.register() for _ in range(10)))
    assert {201} == {response.status_code for response in responses}
    assert 1 == await database.fetchval("SELECT count(*) FROM accounts")


@pytest.mark.parametrize(
    ("body", "status", "location"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b"[]", 422, "body"),
        (b"{}", 422, "body"),
        (b'{"email": "a@example.com"}', 422, "body"),
        (b'{"email": 5, "password": "correct horse"}', 422, "body.email"),
        (b'{"email": null, "password": "correct horse"}', 422, "body.email"),
        (b'{"email": "a", "password": "correct horse"}', 422, "body.email"),
        (b'{"email": "a@example.com", "password": 12345678}', 422, "body.password"),
        (b'{"email": "a@example.com", "password": "short"}', 422, "body.password"),
        (b'{"email": "a@example.com", "password": "password123"}', 422, "body.password"),
        (b'{"email": "a@example.com", "password": "A@example.com"}', 422, "body.password"),
        (b'{"email": "a@example.com", "password": "correct horse", "scopes": ["admin"]}', 422, "body"),
        (b'{"email": "a@example.com", "password": "correct horse", "id": "x"}', 422, "body"),
        (b'{"email": "a@example.com", "password": "correct horse \\ud800"}', 400, None),
        (b'{"email": "a\\u0000@example.com", "password": "correct horse"}', 422, "body.email"),
        (b'{"email": "' + b"a" * 300 + b'@example.com", "password": "correct horse"}', 422, "body.email"),
    ],
)
async def test_bad_registrations(auth: Auth, body: bytes, status: int, location: str | None) -> None:
    """SEC-A02: malformed is 400, wrong is 422 with its place; a field that is the service's to set is refused."""
    response = await auth.client.post("/v1/accounts", content=body, headers={"Content-Type": "application/json"})
    assert status == response.status_code, response.text
    assert "application/problem+json" == response.headers["content-type"]
    if location is not None:
        assert location == response.json()["errors"][0]["location"]


async def test_other_media_types_are_refused(auth: Auth) -> None:
    """SEC-A03: a form of a foreign page can't register."""
    response = await auth.client.post("/v1/accounts", content=b"{}", headers={"Content-Type": "text/plain"})
    assert 415 == response.status_code


async def test_long_passwords(auth: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    """SEC-P03: 4,096 characters of any kind are a password, 4,097 are refused before anything is hashed."""
    hashes = counted(monkeypatch, "hash")
    verifications = counted(monkeypatch, "verify")
    assert 422 == (await auth.register(password="\U0001f600" * 4097)).status_code
    assert 422 == (await auth.sign_in(password="k" * 4097)).status_code
    assert [] == hashes + verifications
    for number, password in enumerate(("k" * 1024, "\U0001f600" * 4096)):
        email = f"long{number}@example.com"
        assert 201 == (await auth.register(email, password)).status_code
        assert 200 == (await auth.sign_in(email, password)).status_code


async def test_huge_bodies_are_refused(auth: Auth) -> None:
    """A body that no password needs is refused by its size."""
    response = await auth.register(password="k" * 200_000)
    assert 413 == response.status_code


@pytest.mark.parametrize(
    ("password", "other"),
    [
        ("x" * 72 + "a", "x" * 72 + "b"),
        ("before\0after one", "before\0after two"),
        ("before\0after one", "before"),
        ("correct horse ", "correct horse"),
        ("Correct Horse", "correct horse"),
        ("\U0001f600" * 8 + "a", "\U0001f600" * 8 + "b"),
    ],
    ids=["72 bytes", "after NUL", "up to NUL", "space at the end", "case", "beyond the BMP"],
)
async def test_every_character_counts(auth: Auth, password: str, other: str) -> None:
    """SEC-P03: nothing is cut off, trimmed or folded."""
    assert 201 == (await auth.register(password=password)).status_code
    assert 401 == (await auth.sign_in(password=other)).status_code
    assert 200 == (await auth.sign_in(password=password)).status_code


async def test_keyboards_may_compose_differently(auth: Auth) -> None:
    """SEC-P03: a password typed as decomposed characters on one device is the same on another."""
    await auth.register(password="sch\u00f6ne gr\u00fc\u00dfe")
    assert 200 == (await auth.sign_in(password="scho\u0308ne gru\u0308\u00dfe")).status_code


async def test_hash_is_argon2id(owner: Auth, database: Database) -> None:
    """SEC-P01: argon2id with OWASP's parameters, a salt of 16 bytes, in PHC form."""
    password_hash = await database.fetchval("SELECT password_hash FROM accounts")
    parameters = argon2.extract_parameters(password_hash)
    assert password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert (argon2.Type.ID, 16, 32) == (parameters.type, parameters.salt_len, parameters.hash_len)
    await owner.register("second@example.com")
    hashes = await database.fetch("SELECT password_hash FROM accounts")
    assert 2 == len({row["password_hash"] for row in hashes})


async def test_old_hash_is_renewed_at_sign_in(owner: Auth, database: Database) -> None:
    """SEC-P01: a hash with lower parameters works once more, and is then one with those of today."""
    old = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    await database.execute("UPDATE accounts SET password_hash = $1", old)
    assert 200 == (await owner.sign_in()).status_code
    renewed = await database.fetchval("SELECT password_hash FROM accounts")
    assert renewed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert 200 == (await owner.sign_in()).status_code
    assert renewed == await database.fetchval("SELECT password_hash FROM accounts")


@pytest.mark.parametrize("stored", ["", "plain text", "$2b$12$" + "a" * 53])
async def test_impossible_hash_is_a_wrong_password(owner: Auth, database: Database, stored: str) -> None:
    """What another system left in the column lets nobody in, and is no crash."""
    await database.execute("UPDATE accounts SET password_hash = $1", stored)
    assert 401 == (await owner.sign_in()).status_code


async def test_registrations_of_a_network_are_limited(open_auth: Open) -> None:
    """A machine that registers without end is told to wait; another one is not."""
    auth = await open_auth(registrations_per_minute=3)
    statuses = [(await auth.register(f"a{number}@example.com")).status_code for number in range(5)]
    assert [201, 201, 201, 429, 429] == statuses
    refused = await auth.register("b@example.com")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    elsewhere = auth.at("127.0.0.2")
    response = await elsewhere.post("/v1/accounts", json={"email": "c@example.com", "password": PASSWORD})
    assert 201 == response.status_code


async def test_change_of_password(owner: Auth) -> None:
    """SEC-T03: 204; the new password is good, the old one is not, and every session of before has ended."""
    access, refresh = await owner.tokens()
    _, elsewhere = await owner.tokens()
    assert 204 == (await change_password(owner, access)).status_code
    assert [401, 401] == [(await owner.refresh(token)).status_code for token in (refresh, elsewhere)]
    assert 401 == (await owner.sign_in()).status_code
    assert 200 == (await owner.sign_in(password="another long password")).status_code


async def test_change_needs_the_old_password(owner: Auth) -> None:
    """A stolen access token alone changes no password; the sessions go on."""
    access, refresh = await owner.tokens()
    response = await change_password(owner, access, password="not the password")
    assert (401, "invalid_grant") == (response.status_code, response.json()["error"])
    assert 200 == (await owner.refresh(refresh)).status_code
    assert 200 == (await owner.sign_in()).status_code


async def test_guessing_the_old_password_is_throttled(owner: Auth) -> None:
    """SEC-P05: ten wrong ones, then 429."""
    access, _ = await owner.tokens()
    statuses = [(await change_password(owner, access, password="not the password")).status_code for _ in range(12)]
    assert [401] * 10 + [429] * 2 == statuses


async def test_new_password_must_be_acceptable(owner: Auth) -> None:
    """SEC-P03: the rules hold for a change as well, the account's own address included."""
    access, _ = await owner.tokens()
    for password in ("short", "password123", EMAIL):
        response = await change_password(owner, access, new_password=password)
        assert (422, "body.new_password") == (response.status_code, response.json()["errors"][0]["location"])


async def test_simultaneous_changes(owner: Auth) -> None:
    """Of several changes at once exactly one is made."""
    access, _ = await owner.tokens()
    await owner.warm_up()
    passwords = [f"another long password {number}" for number in range(4)]
    responses = await asyncio.gather(*(change_password(owner, access, new_password=each) for each in passwords))
    changed = [each for each, response in zip(passwords, responses, strict=True) if response.status_code == 204]
    assert 1 == len(changed)
    assert 200 == (await owner.sign_in(password=changed[0])).status_code


async def test_change_needs_a_token_of_an_account(owner: Auth, signing_key_file: Any) -> None:
    """401 without a token, for a token of another key, and for one of ours that names no account."""
    own, foreign = SigningKey.load(signing_key_file), SigningKey.generate()
    for key, subject in ((foreign, "x"), (own, "no UUID"), (own, "00000000-0000-4000-8000-000000000000")):
        token = TokenIssuer(key, issuer=ISSUER, audience="fairlead", lifetime_s=60).issue(subject, ())
        assert 401 == (await change_password(owner, token)).status_code
    response = await owner.client.post("/v1/accounts/me/password", json={})
    assert (401, "Bearer") == (response.status_code, response.headers["www-authenticate"])
