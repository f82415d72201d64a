"""Records: types with named fields, whichever library they are written with."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, NotRequired, Required, Union, get_args, get_origin, get_type_hints, is_typeddict

import msgspec

NO_DEFAULT: Any = object()


@dataclass(frozen=True, slots=True)
class Field:
    """A field under the name that it has outside of Python."""

    name: str
    kind: Any
    default: Any = NO_DEFAULT

    @property
    def is_required(self) -> bool:
        """Whether it must be given."""
        return self.default is NO_DEFAULT


def bare(kind: Any) -> Any:
    """A type without its `Annotated` metadata."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def members_of(kind: Any) -> tuple[Any, ...]:
    """The types that a value may have, None and UNSET aside."""
    plain = bare(kind)
    if get_origin(plain) in (Union, UnionType):
        return tuple(
            inner for member in get_args(plain) if member not in (NoneType, msgspec.UnsetType) for inner in members_of(member)
        )
    return (kind,)


def is_list(kind: Any) -> bool:
    """Whether values of this type have several elements."""
    kinds = (list, tuple, set, frozenset)
    return any((get_origin(bare(member)) or bare(member)) in kinds for member in members_of(kind))


def is_pydantic(kind: Any) -> bool:
    """Whether a pydantic model is anywhere in this type; without pydantic loaded there is none."""
    pydantic = sys.modules.get("pydantic")
    if pydantic is None:
        return False
    if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
        return True
    return any(is_pydantic(argument) for argument in get_args(kind))


def is_record(kind: Any) -> bool:
    """Whether a type has named fields."""
    plain = bare(kind)
    return _fields_reader(get_origin(plain) or plain) is not None


def fields_of(kind: Any) -> tuple[Field, ...]:
    """The fields of a record in their order; none for any other type."""
    plain = bare(kind)
    read = _fields_reader(get_origin(plain) or plain)
    return read(plain) if read is not None else ()


def _fields_reader(plain: Any) -> Callable[[Any], tuple[Field, ...]] | None:
    if not isinstance(plain, type):
        return None
    if issubclass(plain, msgspec.Struct):
        return _struct_fields
    if is_typeddict(plain):
        return _typed_dict_fields
    if dataclasses.is_dataclass(plain):
        return _dataclass_fields
    if hasattr(plain, "__attrs_attrs__"):
        return _attrs_fields
    return _model_fields if is_pydantic(plain) else None


def _struct_fields(kind: Any) -> tuple[Field, ...]:
    return tuple(
        Field(field.encode_name, field.type, NO_DEFAULT if field.required else _default(field.default, field.default_factory))
        for field in msgspec.structs.fields(kind)
    )


def _default(default: Any, factory: Any) -> Any:
    if default is not msgspec.NODEFAULT:
        return default
    return factory()


def _typed_dict_fields(kind: Any) -> tuple[Field, ...]:
    required = (get_origin(kind) or kind).__required_keys__
    found: list[Field] = []
    for name, hint in get_type_hints(kind, include_extras=True).items():
        is_required = name in required
        if get_origin(hint) in (Required, NotRequired):  # the class doesn't know when its annotations are text
            is_required = get_origin(hint) is Required
            (hint,) = get_args(hint)
        found.append(Field(name, hint, NO_DEFAULT if is_required else None))
    return tuple(found)


def _dataclass_fields(kind: Any) -> tuple[Field, ...]:
    plain = get_origin(kind) or kind
    hints = get_type_hints(plain, include_extras=True)
    return tuple(
        Field(field.name, hints[field.name], _dataclass_default(field)) for field in dataclasses.fields(plain) if field.init
    )


def _dataclass_default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else NO_DEFAULT


def _attrs_fields(kind: Any) -> tuple[Field, ...]:
    import attrs

    plain = get_origin(kind) or kind
    hints = get_type_hints(plain, include_extras=True)
    found: list[Field] = []
    for attribute in attrs.fields(plain):
        default = attribute.default
        if default is attrs.NOTHING:
            default = NO_DEFAULT
        elif isinstance(default, attrs.Factory):  # type: ignore[arg-type]
            default = None if default.takes_self else default.factory()
        found.append(Field(attribute.name, hints[attribute.name], default))
    return tuple(found)


def _model_fields(kind: Any) -> tuple[Field, ...]:
    return tuple(
        Field(
            info.alias or name,
            Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation,
            NO_DEFAULT if info.is_required() else info.get_default(call_default_factory=True),
        )
        for name, info in kind.model_fields.items()
    )
