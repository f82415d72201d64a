"""The service as a whole: what it needs to start, what it does without PostgreSQL, who may call it from a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from auth.main import create_app
from auth.service import build_app
from auth.settings import Settings
from fairlead.errors import ConfigurationError
from fairlead.postgres.migrations import upgrade
from fairlead.settings import Secret, load_settings
from fairlead.testing import AsyncTestClient
from fairlead.testing.wire import Wire

from .conftest import ISSUER, PASSWORD, Auth, Database, Open

ENVIRONMENT = {"DATABASE_URL": "postgresql://db/auth", "ISSUER": ISSUER, "SIGNING_KEY_FILE": "/keys/signing.pem"}


def settings(**changes: Any) -> Settings:
    return Settings(**{"database_url": Secret("postgresql://db/auth"), "issuer": ISSUER, **changes})


def test_settings_from_the_environment() -> None:
    """K7: three variables suffice."""
    found = load_settings(Settings, ENVIRONMENT)
    assert (ISSUER, Path("/keys/signing.pem"), False) == (found.issuer, found.signing_key_file, found.create_signing_key)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ACCESS_TOKEN_LIFETIME_S", "901"),
        ("ACCESS_TOKEN_LIFETIME_S", "0"),
        ("SIGN_IN_FAILURES_PER_MINUTE", "0"),
        ("PASSWORD_HASH_CONCURRENCY", "0"),
        ("CREATE_SIGNING_KEY", "perhaps"),
    ],
)
def test_bad_settings(name: str, value: str) -> None:
    """K7, SEC-T03: a value out of its bounds stops the start, by its name."""
    with pytest.raises(ConfigurationError, match=name):
        load_settings(Settings, {**ENVIRONMENT, name: value})


def test_target_reads_the_environment_when_called(monkeypatch: pytest.MonkeyPatch, signing_key_file: Path) -> None:
    """`auth.main:create_app` is what `fairlead serve` runs; without its variables it names all of them at once."""
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError) as caught:
        create_app()
    assert ("DATABASE_URL is not set", "ISSUER is not set", "SIGNING_KEY_FILE is not set") == caught.value.problems
    for name, value in {**ENVIRONMENT, "SIGNING_KEY_FILE": str(signing_key_file)}.items():
        monkeypatch.setenv(name, value)
    assert "auth" == create_app().name


def test_no_start_without_a_key(tmp_path: Path, signing_key_file: Path) -> None:
    """P7: a missing or malformed signing key stops the start; there is no default."""
    with pytest.raises(ConfigurationError, match="No such file"):
        build_app(settings(signing_key_file=tmp_path / "missing"))
    (tmp_path / "bad").write_text("secret")
    with pytest.raises(ConfigurationError, match="neither an unencrypted PEM nor a JWK"):
        build_app(settings(signing_key_file=tmp_path / "bad"))
    with pytest.raises(ConfigurationError, match="No such file"):
        build_app(settings(signing_key_file=signing_key_file, published_keys_directory=tmp_path / "missing"))


def test_key_may_be_made_on_a_developers_machine(tmp_path: Path) -> None:
    """`make run` starts from nothing: the key is made once, for the owner only, and kept."""
    path = tmp_path / "new" / "signing.pem"
    first = build_app(settings(signing_key_file=path, create_signing_key=True)).ctx.key_document
    second = build_app(settings(signing_key_file=path, create_signing_key=True)).ctx.key_document
    assert first == second
    assert 0o600 == path.stat().st_mode & 0o777


async def test_outage_of_postgres(open_auth: Open, database_url: str) -> None:
    """Every route that needs PostgreSQL is 503 with Retry-After while it is away and works when it is back; the keys are
    published all the time, so other services go on."""
    async with Wire(database_url) as wire:
        auth = await open_auth(database_url=Secret(wire.url))
        assert 201 == (await auth.register()).status_code
        access, refresh = await auth.tokens()
        await wire.cut()
        answers = [
            await auth.register("other@example.com"),
            await auth.sign_in(),
            await auth.refresh(refresh),
            await auth.log_out(refresh),
            await auth.client.post(
                "/v1/accounts/me/password",
                json={"password": PASSWORD, "new_password": "another long password"},
                headers={"Authorization": f"Bearer {access}"},
            ),
        ]
        assert [(503, "2")] * 5 == [(answer.status_code, answer.headers["retry-after"]) for answer in answers]
        assert 200 == (await auth.client.get("/.well-known/jwks.json")).status_code
        await auth.app.health.run()
        assert not auth.app.health.ready
        await wire.mend()
        assert 200 == (await auth.refresh(refresh)).status_code
        assert 200 == (await auth.sign_in()).status_code


async def test_start_waits_for_the_migration(postgres_url: str, signing_key_file: Path) -> None:
    """K1: /startupz says which revision is missing."""
    app = build_app(settings(database_url=Secret(postgres_url), signing_key_file=signing_key_file))
    async with AsyncTestClient(app):
        await app.health.run()
        assert "migration 0002 is expected, the database has none" == app.health.report()["migrations of auth"]["error"]
        await upgrade("auth", postgres_url)
        await app.health.run()
        assert app.health.started


async def test_pages_of_known_origins(open_auth: Open) -> None:
    """SEC-A03: a page of the configured origin may sign in; another one gets no CORS header."""
    auth = await open_auth(cors_origins=("https://shop.example",))
    for origin, expected in (("https://shop.example", "https://shop.example"), ("https://evil.example", None)):
        preflight = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        response = await auth.client.options("/v1/token", headers=preflight)
        assert expected == response.headers.get("access-control-allow-origin")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/accounts", 405),
        ("GET", "/v1/token", 405),
        ("PUT", "/.well-known/jwks.json", 405),
        ("GET", "/v1/token/revoke", 405),
        ("GET", "/", 404),
        ("GET", "/v1/accounts/1", 404),
        ("POST", "/v1/accounts/me", 404),
    ],
)
async def test_routes_that_are_not_there(auth: Auth, method: str, path: str, status: int) -> None:
    """SEC-A04: 404 and 405 are problem details."""
    response = await auth.client.request(method, path, headers={"Accept": "application/json"})
    assert (status, "application/problem+json") == (response.status_code, response.headers["content-type"])


async def test_expired_data_is_forgotten(auth: Auth, database: Database) -> None:
    """What has expired is removed, what has not stays."""
    await auth.register()
    await auth.tokens()
    await auth.tokens()
    await auth.sign_in(password="wrong password")
    await database.execute(
        "UPDATE sessions SET expires_at = now() - interval '1 s' WHERE id = (SELECT id FROM sessions ORDER BY id LIMIT 1)"
    )
    before = await database.fetchval("SELECT count(*) FROM attempts")
    await auth.app.ctx.purge()
    assert (1, 1) == tuple([await database.fetchval(f"SELECT count(*) FROM {table}") for table in ("sessions", "refresh_tokens")])
    assert before == await database.fetchval("SELECT count(*) FROM attempts") > 0
    await database.execute("UPDATE attempts SET at = at - interval '61 s'")
    await auth.app.ctx.purge()
    assert 0 == await database.fetchval("SELECT count(*) FROM attempts")
