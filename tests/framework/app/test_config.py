"""Configuration: every value is checked when it is set, and unknown names are found (K7)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fairlead import Config
from fairlead.config import DEFAULTS, DetailedConverter
from fairlead.errors import ConfigurationError


def test_attributes_and_items_are_one() -> None:
    """`config.PORT` and `config["PORT"]` are the same value; own keys are free."""
    config = Config({"PORT": 1234})
    config.OWN = object()
    assert (config.PORT, config["PORT"], config["OWN"]) == (1234, 1234, config.OWN)
    with pytest.raises(AttributeError, match="NOPE"):
        config.NOPE  # noqa: B018


def test_environment() -> None:
    """FAIRLEAD_ variables are converted to the key's type; others are no business of ours."""
    config = Config.from_environment(
        {
            "FAIRLEAD_PORT": "9999",
            "FAIRLEAD_DRAIN_DELAY": "2.5",
            "FAIRLEAD_DEBUG": "yes",
            "FAIRLEAD_WEBSOCKET_ORIGINS": "https://a.example, https://b.example",
            "FAIRLEAD_LOG_LEVEL": "warning",
            "PATH": "/bin",
        }
    )
    assert (config.PORT, config.DRAIN_DELAY, config.DEBUG, config.LOG_LEVEL) == (9999, 2.5, True, "WARNING")
    assert config.WEBSOCKET_ORIGINS == ("https://a.example", "https://b.example")


def test_secret_files(tmp_path: Path) -> None:
    """`…_FILE` names a mounted file; the value is stripped, and never shown."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    config = Config.from_environment({"FAIRLEAD_FORWARDED_SECRET_FILE": str(secret)})
    assert config.FORWARDED_SECRET == "s3cret"
    assert "s3cret" not in repr(config)
    with pytest.raises(ConfigurationError, match="can't be read"):
        Config.from_environment({"FAIRLEAD_FORWARDED_SECRET_FILE": str(tmp_path / "none")})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PORT", "eighty", "whole number"),
        ("PORT", "-1", "negative"),
        ("PORT", "70000", "no port"),
        ("PORT", 1.5, "whole number"),
        ("PORT", True, "whole number"),
        ("DRAIN_DELAY", "nan", "number"),
        ("DRAIN_DELAY", "inf", "number"),
        ("DEBUG", "maybe", "truth value"),
        ("LOG_FORMAT", "xml", "none of"),
        ("WEBSOCKET_COMPRESSION", "zip", "none of"),
        ("HOST", 7, "text"),
    ],
)
def test_malformed_values(name: str, value: Any, message: str) -> None:
    """A value of the wrong type or range is refused when it is set, with the variable's name."""
    with pytest.raises(ConfigurationError, match=f"FAIRLEAD_{name}: .*{message}"):
        Config()[name] = value


def test_all_problems_at_once() -> None:
    """Every wrong variable is named, a misspelt one with what was probably meant; exit status 2."""
    with pytest.raises(ConfigurationError) as error:
        Config.from_environment({"FAIRLEAD_PROT": "1", "FAIRLEAD_PORT": "x", "FAIRLEAD_NOTHING_LIKE_IT": "1"})
    assert len(error.value.problems) == 3
    assert "did you mean FAIRLEAD_PORT?" in str(error.value)
    assert error.value.exit_status == 2


def test_loaders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Upper-case names are taken from mappings, classes and Python files; `${…}` stands for the environment."""
    (tmp_path / "settings.py").write_text("PORT = 1 + 1\nown = 3\nOWN = 4\n")
    monkeypatch.setenv("SETTINGS_DIR", str(tmp_path))

    class Settings:
        HOST = "0.0.0.0"
        lower = 1

    config = Config()
    config.update_config("${SETTINGS_DIR}/settings.py")
    config.update_config(Settings)
    config.load({"DEBUG": "true", "lower": 1})
    config.load(tmp_path / "settings.py")
    assert (config.PORT, config.OWN, config.HOST, config.DEBUG) == (2, 4, "0.0.0.0", True)
    assert "own" not in config
    assert "lower" not in config
    with pytest.raises(ConfigurationError, match="can't be read"):
        config.update_config(tmp_path / "none.py")


def test_what_is_no_mapping_and_no_path() -> None:
    """A mapping's lower-case names are left out; lists are lists of texts, whatever they were."""
    config = Config()
    config.load({"DEBUG": True, "debug": False})
    config.WEBSOCKET_ORIGINS = ["https://a.example", " ", "https://b.example "]
    assert (config.DEBUG, "debug" in config) == (True, False)
    assert config.WEBSOCKET_ORIGINS == ("https://a.example", "https://b.example")
    for value in (True, "on", " T ", False, "0", ""):
        config.DEBUG = value
        assert config.DEBUG is (value in (True, "on", " T "))
    with pytest.raises(ConfigurationError, match="truth value"):
        config.DEBUG = 1


def test_limits_come_from_the_configuration() -> None:
    """Every key of a limit reaches the server's limits; KEEP_ALIVE=False is a time-out of 0."""
    limits = Config({"REQUEST_MAX_SIZE": 5, "KEEP_ALIVE": False, "RESPONSE_TIMEOUT": 7}).limits()
    assert (limits.max_body_bytes, limits.keep_alive_timeout_s, limits.response_timeout_s) == (5, 0, 7)


def test_defaults_are_valid() -> None:
    """Every default passes its own check."""
    assert dict(Config(DEFAULTS)) == DEFAULTS


def test_prefixes_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The framework's keys keep their types, others are cast or stay text; the latest converter is asked first."""

    class Ports(DetailedConverter):
        def __call__(self, full_key: str, config_key: str, value: str, defaults: dict[str, Any]) -> Any:
            if not config_key.endswith("_PORT"):
                raise ValueError(value)
            return (full_key, defaults["PORT"], int(value))

    config = Config(converters=[Ports()])
    config.load_environment({"A_PORT": "1", "A_DB_PORT": "5", "A_N": "5", "A_F": "1.5", "A_T": "off", "A_S": "text"}, "A_")
    assert (config.PORT, config.DB_PORT) == (1, ("A_DB_PORT", 8000, 5))
    assert (config.N, config.F, config.T, config.S) == (5, 1.5, False, "text")
    config.register_type(lambda text: text.split("|")[:2])
    monkeypatch.setenv("B_N", "1|2")
    config.load_environment_vars("B_")
    assert config.N == ["1", "2"]
    assert Config(env_prefix="B_").N == "1|2"
    with pytest.raises(ConfigurationError, match="PORT"):
        config.load_environment({"A_PORT": "x"}, "A_")


def test_variables_in_a_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`${name}` alone is replaced, and must be set."""
    (tmp_path / "$home.py").write_text("A = 1\n")
    monkeypatch.setenv("own_folder", str(tmp_path))
    config = Config()
    config.update_config("${own_folder}/$home.py")
    assert config.A == 1
    with pytest.raises(ConfigurationError, match="no_such_variable"):
        config.update_config("${no_such_variable}/x.py")
