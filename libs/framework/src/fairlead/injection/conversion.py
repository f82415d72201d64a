"""Converting what a client sent into a type: by msgspec, or by pydantic where the type is one of its models.

A converter is made once for each annotated parameter. It raises `Invalid` with everything that is wrong, or `ValueError` (among
it `msgspec.DecodeError`) for bytes that are no JSON at all.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from fairlead.injection.faults import Fault, all_faults
from fairlead.injection.records import is_pydantic


class Invalid(Exception):
    """A value does not fit its type."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        super().__init__(faults)


class Converter(Protocol):
    """Makes values of one type."""

    def decode(self, body: bytes) -> Any:
        """From JSON. Raises `Invalid`; ValueError and RecursionError for what is no JSON."""

    def convert(self, value: Any) -> Any:
        """From text, or lists and objects of text. Raises `Invalid`."""


def converter_of(kind: Any) -> Converter:
    """The converter for a type."""
    return PydanticConverter(kind) if is_pydantic(kind) else MsgspecConverter(kind)


class MsgspecConverter:
    """For everything that msgspec knows, attrs classes included, and for values that are of their type already (uploads)."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self._decode = msgspec.json.Decoder(kind).decode

    def decode(self, body: bytes) -> Any:
        """From JSON, strictly."""
        try:
            return self._decode(body)
        except msgspec.ValidationError as exc:
            value = msgspec.json.decode(body)  # malformed behind the first wrong value is malformed
            raise Invalid(all_faults(value, self._kind, exc, msgspec.convert)) from None

    def convert(self, value: Any) -> Any:
        """From text: "7" is a number where one is wanted."""
        try:
            return _from_text(value, self._kind)
        except msgspec.ValidationError as exc:
            raise Invalid(all_faults(value, self._kind, exc, _from_text)) from None


def _from_text(value: Any, kind: Any) -> Any:
    return msgspec.convert(value, kind, strict=False, dec_hook=_as_it_is)


def _as_it_is(kind: type, value: Any) -> Any:
    if isinstance(value, kind):
        return value
    raise ValueError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


class PydanticConverter:
    """For pydantic's models and whatever holds them, by pydantic's rules."""

    def __init__(self, kind: Any) -> None:
        import pydantic

        self._adapter: Any = pydantic.TypeAdapter(kind)
        self._error = pydantic.ValidationError

    def decode(self, body: bytes) -> Any:
        """From JSON."""
        msgspec.json.decode(body, type=msgspec.Raw)  # what is no JSON is told from what does not fit
        try:
            return self._adapter.validate_json(body)
        except self._error as exc:
            raise Invalid(_faults_of(exc)) from None

    def convert(self, value: Any) -> Any:
        """From text."""
        try:
            return self._adapter.validate_python(value)
        except self._error as exc:
            raise Invalid(_faults_of(exc)) from None


def _faults_of(error: Any) -> list[Fault]:
    return [
        ("".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in fault["loc"]), fault["msg"])
        for fault in error.errors(include_url=False, include_context=False, include_input=False)
    ]
