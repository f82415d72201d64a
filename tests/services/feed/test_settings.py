"""What the feed takes from its environment, and what stops its start."""

from __future__ import annotations

import pytest

from fairlead.errors import ConfigurationError
from fairlead.settings import load_settings
from feed.main import create_app
from feed.settings import Settings

ENVIRONMENT = {
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "AUTH_ISSUER": "http://127.0.0.1:8001",
    "AUTH_JWKS_URL": "http://127.0.0.1:8001/.well-known/jwks.json",
    "PUBLIC_AUTH_URL": "http://127.0.0.1:8001",
    "PUBLIC_CATALOG_URL": "https://catalog.example",
}


def test_the_usual_environment() -> None:
    """Addresses are enough; further origins are a comma separated list."""
    settings = load_settings(Settings, {**ENVIRONMENT, "WEBSOCKET_ORIGINS": "https://a.example,http://localhost:8003"})
    assert settings.public_auth_url == "http://127.0.0.1:8001"
    assert settings.websocket_origins == ("https://a.example", "http://localhost:8003")
    assert load_settings(Settings, ENVIRONMENT).websocket_origins == ()


@pytest.mark.parametrize("name", ["REDIS_URL", "AUTH_ISSUER", "AUTH_JWKS_URL", "PUBLIC_AUTH_URL", "PUBLIC_CATALOG_URL"])
def test_a_missing_address_is_named(name: str) -> None:
    """The operator reads which variable it is."""
    environment = {key: value for key, value in ENVIRONMENT.items() if key != name}
    with pytest.raises(ConfigurationError, match=f"{name} is not set"):
        load_settings(Settings, environment)


@pytest.mark.parametrize(
    "value",
    [
        "catalog.example",
        "https://catalog.example/",
        "https://catalog.example/v1",
        "HTTPS://catalog.example",
        "ws://catalog.example",
        "https://catalog.example; script-src *",
        "https://*.example",
        "'self'",
    ],
)
@pytest.mark.parametrize("name", ["PUBLIC_AUTH_URL", "PUBLIC_CATALOG_URL", "WEBSOCKET_ORIGINS"])
def test_what_is_no_origin_is_refused(name: str, value: str) -> None:
    """These values reach the Content-Security-Policy and the allow-list: nothing but origins may."""
    with pytest.raises(ConfigurationError, match=f"{name}: Expected"):
        load_settings(Settings, {**ENVIRONMENT, name: value})


def test_the_target_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`fairlead serve feed.main:create_app` needs nothing but variables, and imports without them."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert create_app().name == "feed"


def test_rooms() -> None:
    """There are some; others are a list of names that fit into an address."""
    assert load_settings(Settings, ENVIRONMENT).rooms == ("harbour", "market", "workshop")
    assert load_settings(Settings, {**ENVIRONMENT, "ROOMS": "tea,coffee-2"}).rooms == ("tea", "coffee-2")
    for rooms in ("Tea", "a/b", "x" * 33):
        with pytest.raises(ConfigurationError, match="ROOMS"):
            load_settings(Settings, {**ENVIRONMENT, "ROOMS": rooms})
