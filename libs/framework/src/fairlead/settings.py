"""A service's own settings: typed, frozen, read once at start from the environment and from mounted secret files.

How this works. A service declares a frozen ``msgspec.Struct``; the field ``database_url`` is read from ``DATABASE_URL``
or, the way that Kubernetes and Docker mount secrets, from the file that ``DATABASE_URL_FILE`` names. The field's type
decides how the text is understood::

    class Settings(Struct, frozen=True):
        database_url: Secret
        port: Annotated[int, Meta(ge=1, le=65535)] = 8001
        cors_origins: tuple[str, ...] = ()

    settings = load_settings(Settings)

Rules:

- An empty variable is an absent one (charts and Compose files render empties), except for a list, where it is the
  empty list.
- A variable and its ``_FILE`` twin together are refused: nobody can tell which of the two was meant.
- Every wrong field is reported at once, in one `ConfigurationError`; the process that starts the service prints it as
  one line and exits with 2.
- The value of a `Secret`, or of any file, is in no message and in no ``repr``.

Rejected: pydantic-settings (a second validation library beside msgspec, 20 times the import time), a global settings
object (nothing reads the environment at import), nested settings (an environment is flat; names say it all).
"""

import hmac
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec import inspect

from fairlead.errors import ConfigurationError

__all__ = ["Secret", "load_settings"]

T = TypeVar("T", bound=msgspec.Struct)

MAX_FILE_BYTES: Final = 1_048_576
"""Kubernetes limits a Secret to 1 MiB; whatever is larger is not a secret but a wrong path."""

_SHOWN_CHARACTERS: Final = 40
_WORDS_FOR_BOOL: Final = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_COLLECTIONS: Final = (inspect.ListType, inspect.VarTupleType, inspect.SetType, inspect.FrozenSetType)


class Secret:
    """A text that never prints: ``str``, ``repr`` and ``format`` are masked, only `reveal` gives the value.

    Compared in constant time (SEC-P06). Cannot be encoded by accident: msgspec and json refuse it.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself. Call it where the value is used and keep no copy."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"


def load_settings(cls: type[T], environ: Mapping[str, str] | None = None) -> T:
    """Read the settings struct `cls` from `environ` (``os.environ`` when None).

    Field types: str, int, float, bool, `Secret`, Path, Literal, enum, lists and tuples of those (comma separated),
    optional and constrained (``Annotated[int, Meta(ge=1)]``) forms of them. A ``__post_init__`` of the struct may raise
    ValueError for what concerns several fields at once.

    Raises `ConfigurationError` that names every missing or malformed field; TypeError when `cls` is not frozen and
    NotImplementedError when a field has a type that no text can give.
    """
    if not cls.__struct_config__.frozen:
        raise TypeError(f"{cls.__qualname__} must be declared with frozen=True")
    source = os.environ if environ is None else environ
    fields = msgspec.structs.fields(cls)
    names = {field.name.upper() for field in fields}
    values: dict[str, Any] = {}
    problems: list[str] = []
    for field in fields:
        try:
            kind = _kind(inspect.type_info(field.type))
            text, origin = _read(field.name.upper(), source, names)
            if text is not None and (text.strip() or isinstance(kind, _COLLECTIONS)):
                values[field.name] = _convert(text, field.type, kind, origin)
            elif field.required:
                problems.append(f"{origin} is not set")
        except _Problem as problem:
            problems.append(str(problem))
    if problems:
        raise ConfigurationError(*problems)
    try:
        return cls(**values)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


class _Problem(Exception):
    """What is wrong with one field, in words for the operator."""


def _read(name: str, environ: Mapping[str, str], names: set[str]) -> tuple[str | None, str]:
    """The text of the field and the variable it came from; the text is None when neither variable is there."""
    text = environ.get(name)
    twin = f"{name}_FILE"
    path = None if twin in names else environ.get(twin)
    if not path:
        return text, name
    if text:
        raise _Problem(f"{name} and {twin} are both set")
    return _read_file(twin, path), twin


def _read_file(variable: str, path: str) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _Problem(f"{variable}: {path}: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise _Problem(f"{variable}: {path} has more than {MAX_FILE_BYTES} bytes")
    try:
        return content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise _Problem(f"{variable}: {path} is not UTF-8 text") from None


def _convert(text: str, type_: Any, kind: inspect.Type, origin: str) -> Any:
    try:
        value = msgspec.convert(_prepare(text, kind), type_, strict=False, dec_hook=_construct)
    except msgspec.ValidationError as error:
        raise _Problem(f"{origin}: {_explain(error)}{_shown(text, kind, origin)}") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise _Problem(f"{origin}: Expected a finite number")
    return value


def _kind(info: inspect.Type) -> inspect.Type:
    """The type that is left when constraints' metadata and None are taken off."""
    if isinstance(info, inspect.Metadata):
        return _kind(info.type)
    if isinstance(info, inspect.UnionType):
        return next(_kind(member) for member in info.types if not isinstance(member, inspect.NoneType))
    return info


def _prepare(text: str, kind: inspect.Type) -> Any:
    if isinstance(kind, _COLLECTIONS):
        return [item for item in (part.strip() for part in text.split(",")) if item]
    if isinstance(kind, inspect.BoolType):
        word = text.strip().lower()
        return _WORDS_FOR_BOOL.get(word, word)
    if isinstance(kind, inspect.IntType | inspect.FloatType | inspect.LiteralType | inspect.EnumType):
        return text.strip()
    return text


def _construct(cls: type[Any], value: Any) -> Any:
    if cls is Secret or issubclass(cls, Path):
        return cls(value)
    raise NotImplementedError(f"a settings field cannot have the type {cls.__qualname__}")


def _explain(error: msgspec.ValidationError) -> str:
    reason = str(error).partition(", got ")[0].partition(" - at ")[0]
    return reason.replace("`", "")


def _shown(text: str, kind: inspect.Type, origin: str) -> str:
    """The offending value, unless it may be a secret: text of any kind, and whatever came out of a file, stays
    hidden.
    """
    if origin.endswith("_FILE") or isinstance(kind, inspect.StrType | inspect.CustomType):
        return ""
    return f", got {text[:_SHOWN_CHARACTERS]!r}"
