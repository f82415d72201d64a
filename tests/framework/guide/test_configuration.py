"""Sanic's guide, chapter Configuration: runs on Sanic and on Fairlead (S; see framework.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.framework.guide.framework import ON_SANIC, PREFIX, App, Config, DetailedConverter


def test_basics() -> None:
    """By attribute, by key, and by `update`."""
    app = App("basics")
    app.config.DB_NAME = "appdb"
    app.config["DB_USER"] = "appuser"
    app.config.update({"DB_HOST": "localhost", "DB_USER": "other"})
    assert (app.config["DB_NAME"], app.config.DB_USER, app.config.DB_HOST) == ("appdb", "other", "localhost")
    with pytest.raises(AttributeError):
        _ = app.config.NO_SUCH_NAME


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The framework's prefix, one's own, and none. (Without `env_prefix` Fairlead reads it when it serves.)"""
    monkeypatch.setenv(f"{PREFIX}REQUEST_TIMEOUT", "10")
    monkeypatch.setenv("MYAPP_REQUEST_TIMEOUT", "20")
    assert App("default", env_prefix=PREFIX).config.REQUEST_TIMEOUT == 10
    assert App("own", env_prefix="MYAPP_").config.REQUEST_TIMEOUT == 20
    assert App("none", env_prefix=None).config.REQUEST_TIMEOUT == 60


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 10),
        ("1.5", 1.5),
        ("text", "text"),
        *((word, True) for word in ("y", "yes", "yep", "yup", "t", "true", "on", "enable", "enabled", "TRUE")),
        *((word, False) for word in ("n", "no", "f", "nope", "false", "off", "disable", "disabled", "False")),
    ],
)
def test_casting(monkeypatch: pytest.MonkeyPatch, text: str, value: Any) -> None:
    """Numbers and truth values; what is neither stays text."""
    monkeypatch.setenv("MYAPP_VALUE", text)
    found = App("casting", env_prefix="MYAPP_").config.VALUE
    assert (found, type(found)) == (value, type(value))


def test_converters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Further types, at the start and later."""
    text = "123a123a-a12a-1a1a-a1a1-1a12a1a12345"
    monkeypatch.setenv("MYAPP_ID", text)
    monkeypatch.setenv("MYAPP_NUMBER", "1")
    config = App("converters", config=Config(converters=[UUID], env_prefix="MYAPP_")).config
    assert UUID(text) == config.ID
    assert config.NUMBER == 1
    config.register_type(lambda text: [int(part) for part in text.split("-")])
    monkeypatch.setenv("LATER_LIST", "1-2")
    config.load_environment_vars("LATER_")
    assert config.LIST == [1, 2]


def test_detailed_converters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Are told the variable's name, and leave to others what is not theirs."""

    class Port(DetailedConverter):  # type: ignore[misc]
        def __call__(self, full_key: str, config_key: str, value: str, defaults: dict[str, Any]) -> Any:
            if not config_key.endswith("_PORT") or "REQUEST_TIMEOUT" not in defaults:
                raise ValueError
            return (full_key, int(value))

    monkeypatch.setenv("MYAPP_DB_PORT", "5432")
    monkeypatch.setenv("MYAPP_DB_SIZE", "7")
    config = Config(converters=[Port()], env_prefix="MYAPP_")
    assert (config.DB_PORT, config.DB_SIZE) == (("MYAPP_DB_PORT", 5432), 7)


def test_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A Python file by its path, in which `${name}` is expanded, and `$name` is not."""
    (tmp_path / "my_config.py").write_text("A = 1\nB = 2\nlower = 3\n")
    app = App("files")
    app.update_config(str(tmp_path / "my_config.py"))
    assert (app.config.A, app.config.B, "lower" in app.config) == (1, 2, False)
    monkeypatch.setenv("my_path", str(tmp_path))
    other = App("expanded")
    other.update_config("${my_path}/my_config.py")
    assert other.config.A == 1
    with pytest.raises(Exception, match=r"my_path|directory"):
        other.update_config("$my_path/my_config.py")
    with pytest.raises(Exception, match="no_such"):
        other.update_config("${no_such}/my_config.py")


def test_objects() -> None:
    """A mapping, a class, and an instance."""

    class MyConfig:
        A = 1
        B = 2

    for source in ({"A": 1, "B": 2}, MyConfig, MyConfig()):
        app = App("objects")
        app.update_config(source)
        assert (app.config.A, app.config.B) == (1, 2)


def test_own_class() -> None:
    """A subclass with defaults and methods of its own."""

    class Own(Config):  # type: ignore[misc]
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.FOO = "bar"

    assert App("own", config=Own()).config.FOO == "bar"


def test_builtin_values() -> None:
    """Have the defaults of the guide's table, where there is no reason for others."""
    config = App("values").config
    expected = {
        "EVENT_AUTOREGISTER": False,
        "FORWARDED_SECRET": None,
        "GRACEFUL_SHUTDOWN_TIMEOUT": 15.0,
        "KEEP_ALIVE": True,
        "NOISY_EXCEPTIONS": False,
        "PROXIES_COUNT": None,
        "REAL_IP_HEADER": None,
        "REQUEST_TIMEOUT": 60,
        "RESPONSE_TIMEOUT": 60,
        "WEBSOCKET_MAX_SIZE": 2**20,
    }
    assert {name: config[name] for name in expected} == expected
    assert config.FALLBACK_ERROR_FORMAT == "auto" or ON_SANIC
