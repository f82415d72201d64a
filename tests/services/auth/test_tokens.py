"""``/v1/token`` from outside: signing in, refreshing, logging out, and every way of getting round them."""

from __future__ import annotations

import asyncio
import logging

import pytest

from auth.hashing import PasswordHasher
from fairlead.auth import InvalidToken

from .conftest import EMAIL, PASSWORD, Auth, Database, Open, comparable, counted

WRONG = "wrong horse battery"


async def test_sign_in(owner: Auth, database: Database) -> None:
    """C1, P7: a short access token that other services accept, and a refresh token; in no cache (SEC-T06)."""
    response = await owner.sign_in()
    body = response.json()
    assert (200, "no-store") == (response.status_code, response.headers["cache-control"])
    assert {"access_token", "refresh_token", "token_type", "expires_in"} == body.keys()
    assert ("Bearer", 600) == (body["token_type"], body["expires_in"])
    principal = await owner.verify(body["access_token"])
    assert str(await database.fetchval("SELECT id FROM accounts")) == principal.subject
    assert frozenset({"catalog:write"}) == principal.scopes
    assert 600 == principal.expires_at - principal.claims["iat"]


async def test_lifetime_of_access_tokens_is_a_setting(open_auth: Open) -> None:
    """SEC-T03: `expires_in` tells the truth."""
    auth = await open_auth(access_token_lifetime_s=60, new_account_scopes=("a", "b"))
    await auth.register()
    response = await auth.sign_in()
    principal = await auth.verify(response.json()["access_token"])
    assert 60 == response.json()["expires_in"] == principal.expires_at - principal.claims["iat"]
    assert frozenset({"a", "b"}) == principal.scopes


async def test_refresh_gives_a_new_pair(owner: Auth) -> None:
    """P7: the new access token is the same account's, the new refresh token is another one."""
    access, refresh = await owner.tokens()
    response = await owner.refresh(refresh)
    assert (200, "no-store") == (response.status_code, response.headers["cache-control"])
    renewed = response.json()
    assert refresh != renewed["refresh_token"]
    before, after = await owner.verify(access), await owner.verify(renewed["access_token"])
    assert (before.subject, before.scopes) == (after.subject, after.scopes)
    assert before.token_id != after.token_id


async def test_refresh_token_used_twice_ends_the_session(owner: Auth, caplog: pytest.LogCaptureFixture) -> None:
    """SEC-T01: the second use is refused, and kills the token that the first use gave; another session goes on."""
    _, first = await owner.tokens()
    _, elsewhere = await owner.tokens()
    second = (await owner.refresh(first)).json()["refresh_token"]
    third = (await owner.refresh(second)).json()["refresh_token"]
    assert 401 == (await owner.refresh(first)).status_code
    assert [401, 401] == [(await owner.refresh(token)).status_code for token in (second, third)]
    assert 200 == (await owner.refresh(elsewhere)).status_code
    assert "a refresh token was used for a second time; its session has ended" in caplog.messages


async def test_parallel_refreshes(owner: Auth) -> None:
    """SEC-T02: of twenty at once exactly one is answered with tokens; the session is dead then."""
    _, refresh = await owner.tokens()
    await owner.warm_up()
    responses = await asyncio.gather(*(owner.refresh(refresh) for _ in range(20)))
    assert [200] + [401] * 19 == sorted(response.status_code for response in responses)
    (winner,) = [response for response in responses if response.status_code == 200]
    assert 401 == (await owner.refresh(winner.json()["refresh_token"])).status_code


async def test_logout(owner: Auth) -> None:
    """SEC-T03: 204, and no token of the session refreshes any more, whichever of them was given; others go on."""
    _, first = await owner.tokens()
    _, elsewhere = await owner.tokens()
    second = (await owner.refresh(first)).json()["refresh_token"]
    response = await owner.log_out(first)
    assert (204, b"", "no-store") == (response.status_code, response.content, response.headers["cache-control"])
    assert 401 == (await owner.refresh(second)).status_code
    assert 200 == (await owner.refresh(elsewhere)).status_code
    assert [204, 204] == [(await owner.log_out(token)).status_code for token in (second, "never was a token")]


async def test_deactivated_account(owner: Auth, database: Database) -> None:
    """SEC-T03: an account that was deactivated neither refreshes nor signs in, and the answer does not say so."""
    _, refresh = await owner.tokens()
    wrong = comparable(await owner.sign_in(password=WRONG))
    await database.execute("UPDATE accounts SET deactivated_at = now()")
    assert 401 == (await owner.refresh(refresh)).status_code
    assert wrong == comparable(await owner.sign_in())


async def test_password_that_is_changed_during_a_sign_in(owner: Auth, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """SEC-T03: a sign-in that checked the old password just before the change begins no session after it."""
    original = PasswordHasher.verify

    async def overtaken(self: PasswordHasher, password_hash: str | None, password: str) -> bool:
        is_right = await original(self, password_hash, password)
        await database.execute("UPDATE accounts SET version = version + 1")
        return is_right

    monkeypatch.setattr(PasswordHasher, "verify", overtaken)
    assert 401 == (await owner.sign_in()).status_code
    assert 0 == await database.fetchval("SELECT count(*) FROM sessions")


@pytest.mark.parametrize("table", ["refresh_tokens", "sessions"])
async def test_expired_refresh_token(owner: Auth, database: Database, table: str) -> None:
    """A session that was not used for too long, or is too old, has ended."""
    _, refresh = await owner.tokens()
    await database.execute(f"UPDATE {table} SET expires_at = now() - interval '1 second'")
    assert 401 == (await owner.refresh(refresh)).status_code


async def test_refresh_token_does_not_outlive_its_session(open_auth: Open, database: Database) -> None:
    """The end of the session bounds each token, however long tokens live."""
    auth = await open_auth(refresh_token_lifetime_s=10_000, session_lifetime_s=100)
    await auth.register()
    _, refresh = await auth.tokens()
    await auth.refresh(refresh)
    lives = await database.fetch(
        "SELECT extract(epoch FROM t.expires_at - s.created_at)::float8 AS life_s FROM refresh_tokens t JOIN sessions s ON true"
    )
    assert [100.0, 100.0] == [row["life_s"] for row in lives]


async def test_tokens_and_passwords_are_not_stored(owner: Auth, database: Database) -> None:
    """SEC-T04: nowhere in the database stands a token or a password as it is."""
    access, refresh = await owner.tokens()
    tables = await database.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    dump = "".join([str(await database.fetch(f"SELECT t::text FROM {table['tablename']} t")) for table in tables])
    assert EMAIL in dump
    assert [] == [secret for secret in (access, refresh, PASSWORD, access.rpartition(".")[2]) if secret in dump]


async def test_kinds_of_tokens_are_not_exchangeable(owner: Auth) -> None:
    """SEC-J10: an access token refreshes nothing, a refresh token opens nothing."""
    access, refresh = await owner.tokens()
    assert 422 == (await owner.refresh(access)).status_code  # longer than any refresh token
    response = await owner.client.post("/v1/accounts/me/password", json={}, headers={"Authorization": f"Bearer {refresh}"})
    assert (401, True) == (response.status_code, 'error="invalid_token"' in response.headers["www-authenticate"])
    with pytest.raises(InvalidToken):
        await owner.verify(refresh)


async def test_unknown_account_and_wrong_password_look_alike(owner: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    """SEC-P04: same status, headers and body; and one hash each, so that they take as long as each other."""
    verifications = counted(monkeypatch, "verify")
    answers = [
        comparable(await owner.sign_in(EMAIL, WRONG)),
        comparable(await owner.sign_in("nobody@example.com", WRONG)),
        comparable(await owner.sign_in("no address at all", WRONG)),
        comparable(await owner.sign_in("nul\0@example.com", WRONG)),
        comparable(await owner.sign_in(EMAIL, "")),
        comparable(await owner.sign_in(EMAIL, f"{PASSWORD}\0")),
    ]
    assert [answers[0]] * 6 == answers
    assert (401, "Bearer", "invalid_grant") == (answers[0][0], answers[0][1]["www-authenticate"], answers[0][2]["error"])
    assert 6 == len(verifications)


async def test_password_of_nobody_is_never_right(auth: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    """SEC-P04: the hash that stands in for a missing account opens nothing, even to who knows its password."""
    monkeypatch.setattr(PasswordHasher, "_matches", lambda *_: True)
    assert 401 == (await auth.sign_in()).status_code


async def test_guessing_is_throttled(owner: Auth) -> None:
    """SEC-P05: ten failures, then 429 with Retry-After, for the right password as well: guessing learns nothing more."""
    statuses = [(await owner.sign_in(password=WRONG)).status_code for _ in range(12)]
    assert [401] * 10 + [429] * 2 == statuses
    refused = await owner.sign_in()
    assert 429 == refused.status_code
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert "no-store" == refused.headers["cache-control"]


async def test_owner_is_not_locked_out(owner: Auth) -> None:
    """SEC-P05: whoever fails in the owner's name from elsewhere, the owner signs in."""
    attacker = owner.at("127.0.0.2")
    for _ in range(12):
        await owner.sign_in(password=WRONG, client=attacker)
    assert 200 == (await owner.sign_in()).status_code
    assert 429 == (await owner.sign_in(client=attacker)).status_code


async def test_botnet_has_one_guess_each(owner: Auth) -> None:
    """SEC-P05: once an account has ten failures, a further network's wrong guess is a 429, and its second is not even
    checked; the owner's first try, from a network that never was here, succeeds."""
    networks = [owner.at(f"127.0.1.{number}") for number in range(1, 13)]
    statuses = [(await owner.sign_in(password=WRONG, client=network)).status_code for network in networks]
    assert [401] * 10 + [429] * 2 == statuses
    assert 429 == (await owner.sign_in(client=networks[11])).status_code
    assert 200 == (await owner.sign_in(client=owner.at("127.0.2.1"))).status_code


async def test_network_that_tries_many_accounts(owner: Auth) -> None:
    """SEC-P05: ten failures are ten failures, on one account or on ten that may not even exist."""
    statuses = [(await owner.sign_in(f"a{number}@example.com", WRONG)).status_code for number in range(12)]
    assert [401] * 10 + [429] * 2 == statuses
    assert 429 == (await owner.sign_in()).status_code


async def test_own_account_does_not_clear_the_count(owner: Auth) -> None:
    """SEC-P05: signing in to an account of one's own between the guesses does not help."""
    await owner.register("attacker@example.com")
    statuses = []
    for _ in range(11):
        statuses.append((await owner.sign_in(password=WRONG)).status_code)
        await owner.sign_in("attacker@example.com")
    assert [401] * 10 + [429] == statuses


async def test_forwarded_headers_of_strangers_are_not_believed(owner: Auth) -> None:
    """SEC-P05: an address that the client makes up is not the one that is counted."""
    statuses = []
    for number in range(12):
        body = {"grant_type": "password", "email": EMAIL, "password": WRONG}
        headers = {"X-Forwarded-For": f"203.0.113.{number}", "Forwarded": f"for=203.0.113.{number}", "X-Real-IP": "1.1.1.1"}
        statuses.append((await owner.client.post("/v1/token", json=body, headers=headers)).status_code)
    assert [401] * 10 + [429] * 2 == statuses


async def test_count_is_shared_by_all_replicas(owner: Auth, open_auth: Open) -> None:
    """SEC-P05: guesses are counted over all workers and pods."""
    other = await open_auth()
    statuses = [(await each.sign_in(password=WRONG)).status_code for each in (owner, other) * 6]
    assert [401] * 10 + [429] * 2 == statuses


async def test_parallel_guesses_do_not_slip_through(open_auth: Open) -> None:
    """SEC-P05: thirty at once, many of them being checked at the same moment, are ten guesses, too."""
    auth = await open_auth(password_hash_concurrency=20)
    await auth.register()
    await auth.warm_up()
    responses = await asyncio.gather(*(auth.sign_in(password=WRONG) for _ in range(30)))
    assert [401] * 10 + [429] * 20 == sorted(response.status_code for response in responses)


async def test_parallel_sign_ins_are_no_failures(owner: Auth) -> None:
    """SEC-P05: fifty right ones at once, from one network, all succeed and leave nothing counted."""
    responses = await asyncio.gather(*(owner.sign_in() for _ in range(50)))
    assert {200} == {response.status_code for response in responses}
    assert 401 == (await owner.sign_in(password=WRONG)).status_code


async def test_failures_are_forgotten_after_a_minute(owner: Auth, database: Database) -> None:
    """SEC-P05: the window slides; nothing has to be unlocked."""
    for _ in range(11):
        await owner.sign_in(password=WRONG)
    await database.execute("UPDATE attempts SET at = at - interval '61 seconds'")
    assert 200 == (await owner.sign_in()).status_code


async def test_other_requests_do_not_wait_for_hashes(owner: Auth) -> None:
    """SEC-P02: while fifty sign-ins wait for their hashes, another endpoint answers at once."""
    sign_ins = [asyncio.create_task(owner.sign_in()) for _ in range(50)]
    await asyncio.wait(sign_ins, return_when=asyncio.FIRST_COMPLETED)
    assert 200 == (await owner.client.get("/.well-known/jwks.json")).status_code
    assert sum(task.done() for task in sign_ins) < 25
    assert {200} == {(await task).status_code for task in sign_ins}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"null", 422),
        (b"{}", 422),
        (b'{"grant_type": "password"}', 422),
        (b'{"grant_type": "client_credentials"}', 422),
        (b'{"grant_type": ["password"], "email": "a", "password": "b"}', 422),
        (b'{"email": "a@example.com", "password": "correct horse"}', 422),
        (b'{"grant_type": "password", "email": "a@example.com", "password": ["x"]}', 422),
        (b'{"grant_type": "password", "email": "a@example.com", "password": "b", "scope": "admin"}', 422),
        (b'{"grant_type": "refresh_token", "refresh_token": 5}', 422),
        (b'{"grant_type": "refresh_token", "refresh_token": "' + b"a" * 129 + b'"}', 422),
        (b'{"grant_type": "refresh_token", "refresh_token": ""}', 401),
        (b'{"grant_type": "refresh_token", "refresh_token": "\\u0000\\ud83d\\ude00"}', 401),
        (b"[" * 100_000, 400),
    ],
)
async def test_bad_grants(auth: Auth, body: bytes, status: int) -> None:
    """Whatever is sent, the answer is a problem with the right status, in no cache."""
    response = await auth.client.post("/v1/token", content=body, headers={"Content-Type": "application/json"})
    assert (status, "application/problem+json") == (response.status_code, response.headers["content-type"])
    assert "no-store" in response.headers["cache-control"]


async def test_secrets_are_not_logged(owner: Auth, caplog: pytest.LogCaptureFixture) -> None:
    """SEC-T05: no password and no token in any log line, with everything logged, successes and failures."""
    caplog.set_level(logging.DEBUG)
    access, refresh = await owner.tokens()
    await owner.sign_in(password=WRONG)
    await owner.refresh(refresh)
    await owner.refresh(refresh)
    await owner.client.post("/v1/accounts/me/password", json={}, headers={"Authorization": f"Bearer {access}x"})
    logged = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records if record.name != "httpcore.http11")
    assert logged
    assert [] == [secret for secret in (access, refresh, PASSWORD, WRONG) if secret in logged]
