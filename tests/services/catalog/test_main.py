"""The service as it is started: from its environment, and never without it."""

from __future__ import annotations

import pytest

from catalog.main import create_app
from fairlead.errors import ConfigurationError

ENVIRONMENT = {
    "DATABASE_URL": "postgresql://user:secret@127.0.0.1:1/catalog",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "AUTH_ISSUER": "https://auth.example",
    "AUTH_JWKS_URL": "https://auth.example/.well-known/jwks.json",
}


def test_the_environment_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target of `fairlead serve` gives an app that is ready to be finalised, and connects to nothing yet."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    app = create_app()
    app.finalise()
    assert app.name == "catalog"


def test_every_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """One error for all of them, and no value in it (K7)."""
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError) as caught:
        create_app()
    assert all(name in str(caught.value) for name in ENVIRONMENT)


@pytest.mark.parametrize(("name", "value"), [("DATABASE_URL", "mysql://u:secret@h/d"), ("REDIS_URL", "http://:secret@h")])
def test_a_wrong_address_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """An address of another kind stops the start; its password is not in the message."""
    for given, address in (ENVIRONMENT | {name: value}).items():
        monkeypatch.setenv(given, address)
    with pytest.raises(ConfigurationError) as caught:
        create_app()
    assert "secret" not in str(caught.value)
