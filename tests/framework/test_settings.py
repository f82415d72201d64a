"""A service's settings: what each type accepts, where values come from, and what the operator reads when one is
wrong.
"""

import enum
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

from fairlead.errors import ConfigurationError
from fairlead.settings import MAX_FILE_BYTES, Secret, load_settings


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


class Full(Struct, frozen=True):
    database_url: Secret
    name: str = "auth"
    port: Annotated[int, Meta(ge=1, le=65535)] = 8001
    ratio: float = 0.5
    debug: bool = False
    folder: Path | None = None
    token: Secret | None = None
    origins: tuple[str, ...] = ("http://localhost:8003",)
    ports: list[int] = []
    mode: Literal["fast", "safe"] = "safe"
    level: Level = Level.LOW
    limit: Annotated[int, Meta(ge=1, title="Limit")] | None = None


URL = "postgresql://user:hunter2@db/auth"


def load(**environ: str) -> Full:
    return load_settings(Full, {"DATABASE_URL": URL, **environ})


def problems(environ: dict[str, str], cls: type[Struct] = Full) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(cls, environ)
    return caught.value.problems


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("NAME", "a name, with a comma ", "a name, with a comma "),
        ("PORT", " 9001 ", 9001),
        ("RATIO", "1e-1", 0.1),
        ("DEBUG", "true", True),
        ("DEBUG", "YES", True),
        ("DEBUG", "on", True),
        ("DEBUG", "1", True),
        ("DEBUG", "Off", False),
        ("DEBUG", "no", False),
        ("FOLDER", "/etc/fairlead", Path("/etc/fairlead")),
        ("TOKEN", "s3cret", Secret("s3cret")),
        ("ORIGINS", "https://a.example, https://b.example,", ("https://a.example", "https://b.example")),
        ("PORTS", "1,2", [1, 2]),
        ("MODE", "fast", "fast"),
        ("LEVEL", "high", Level.HIGH),
        ("LIMIT", " 5", 5),
    ],
)
def test_each_type_is_read_from_its_text(name: str, text: str, expected: Any) -> None:
    """A field is converted from the environment's text by its declared type."""
    assert expected == getattr(load(**{name: text}), name.lower())


def test_defaults_stand_for_absent_variables() -> None:
    """Only the required field is given: every other field has its default."""
    assert Full(database_url=Secret(URL)) == load()


def test_empty_variable_is_absent_except_for_a_list() -> None:
    """Charts render empty values: they mean the default, and for a list the empty list."""
    settings = load(PORT="", MODE=" ", FOLDER="", ORIGINS="")
    assert (8001, "safe", None, ()) == (settings.port, settings.mode, settings.folder, settings.origins)


def test_value_from_file(tmp_path: Path) -> None:
    """K7: `DATABASE_URL_FILE` names a mounted secret; the editor's trailing newline is no part of it."""
    file = tmp_path / "url"
    file.write_text(f"{URL}\r\n")
    assert Secret(URL) == load_settings(Full, {"DATABASE_URL_FILE": str(file)}).database_url


def test_field_that_ends_in_file_is_no_secret_file(tmp_path: Path) -> None:
    """A field `key_file` beside a field `key` holds a path itself; it is not read as the file of `key`."""

    class Keys(Struct, frozen=True):
        key_file: Path
        key: str = ""

    assert Keys(key_file=Path("/k.pem")) == load_settings(Keys, {"KEY_FILE": "/k.pem"})


def test_every_problem_is_named_at_once() -> None:
    """K7: one error lists all wrong fields, in the order of the struct."""
    assert (
        "DATABASE_URL is not set",
        "PORT: Expected int <= 65535, got '70000'",
        "RATIO: Expected float, got 'much'",
        "DEBUG: Expected bool, got 'maybe'",
        "PORTS: Expected int, got '1,x'",
        "MODE: Invalid enum value 'slow', got 'slow'",
    ) == problems({"PORT": "70000", "RATIO": "much", "DEBUG": "maybe", "PORTS": "1,x", "MODE": "slow"})


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_numbers_are_finite(text: str) -> None:
    """A time-out of NaN seconds would compare false with everything: refused."""
    assert ("RATIO: Expected a finite number",) == problems({"DATABASE_URL": URL, "RATIO": text})


def test_variable_and_file_together_are_refused(tmp_path: Path) -> None:
    """Neither of the two may win silently."""
    assert ("DATABASE_URL and DATABASE_URL_FILE are both set",) == problems(
        {"DATABASE_URL": URL, "DATABASE_URL_FILE": str(tmp_path / "url")}
    )


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    """A missing, oversized or binary file is one clear line without its content."""
    missing, large, binary = tmp_path / "missing", tmp_path / "large", tmp_path / "binary"
    large.write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    binary.write_bytes(b"\xff\xfe")
    found = [problems({"DATABASE_URL_FILE": str(path)}) for path in (missing, large, binary)]
    assert [
        (f"DATABASE_URL_FILE: {missing}: No such file or directory",),
        (f"DATABASE_URL_FILE: {large} has more than {MAX_FILE_BYTES} bytes",),
        (f"DATABASE_URL_FILE: {binary} is not UTF-8 text",),
    ] == found


def test_value_of_a_file_is_never_shown(tmp_path: Path) -> None:
    """K7: what a mounted file holds may be secret even when the field is a plain number."""
    file = tmp_path / "port"
    file.write_text("hunter2")
    assert ("PORT_FILE: Expected int",) == problems({"DATABASE_URL": URL, "PORT_FILE": str(file)})


def test_text_is_never_shown() -> None:
    """A malformed text may hold a password: the message gives the constraint only."""

    class Named(Struct, frozen=True):
        name: Annotated[str, Meta(max_length=3)]

    assert ("NAME: Expected str of length <= 3",) == problems({"NAME": "hunter2"}, Named)


def test_struct_may_check_several_fields() -> None:
    """A ValueError of `__post_init__` is a configuration error like any other."""

    class Range(Struct, frozen=True):
        low: int
        high: int

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("LOW is greater than HIGH")

    assert ("LOW is greater than HIGH",) == problems({"LOW": "2", "HIGH": "1"}, Range)


def test_programming_errors_are_no_configuration_errors() -> None:
    """A struct that is not frozen, or a field of a type that no text can give, is the programmer's mistake."""

    class Mutable(Struct):
        name: str = ""

    class Strange(Struct, frozen=True):
        thing: Strings

    with pytest.raises(TypeError, match="frozen=True"):
        load_settings(Mutable, {})
    with pytest.raises(NotImplementedError, match="Strings"):
        load_settings(Strange, {"THING": "x"})


class Strings:
    """A class of someone's own."""


def test_environment_is_the_default_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `environ`, the process's environment is read."""
    monkeypatch.setenv("DATABASE_URL", URL)
    assert URL == load_settings(Full).database_url.reveal()


def test_secret_never_prints() -> None:
    """K7: no way of printing or encoding a secret shows it, directly or inside the settings."""
    secret = Secret("hunter2")
    shown = [str(secret), repr(secret), f"{secret}", f"{secret!r:>20}", repr(Full(database_url=secret))]
    assert [] == [text for text in shown if "hunter2" in text]
    with pytest.raises(TypeError):
        msgspec.json.encode(secret)


def test_secret_compares_by_value() -> None:
    """Two secrets of one value are equal and hash alike; a secret is not equal to its text."""
    assert Secret("a") == Secret("a") != Secret("b")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != "a"
    assert [True, False] == [bool(Secret("a")), bool(Secret(""))]
