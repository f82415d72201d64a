"""Fields of records, whichever library they are written with, and the walk that finds everything that is wrong."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Generic, Required, TypedDict, TypeVar

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from fairlead.injection import run_first
from fairlead.injection.conversion import Invalid, converter_of
from fairlead.injection.faults import MAX_DEPTH, MAX_FAULTS, MAX_STEPS, all_faults
from fairlead.injection.records import NO_DEFAULT, Field, fields_of, is_list, is_pydantic, is_record
from fairlead.injection.signature import hints_of, innermost, parameters_of

T = TypeVar("T")
Positive = Annotated[int, Meta(ge=1)]


class Renamed(Struct, rename="camel"):
    unit_price: Positive
    tags: list[str] = []
    note: str = msgspec.field(name="remark", default="-")


@dataclass
class Data:
    unit_price: Positive
    tags: list[str] = field(default_factory=list)
    note: str = "-"
    hidden: int = field(default=0, init=False)


class Typed(TypedDict, total=False):
    unit_price: Required[Positive]
    note: str


@attrs.define
class Attrs:
    unit_price: Positive
    tags: list[str] = attrs.field(factory=list)
    note: str = "-"
    own: int = attrs.field(default=attrs.Factory(lambda self: self.unit_price, takes_self=True))


class Model(pydantic.BaseModel):
    unit_price: int = pydantic.Field(ge=1, alias="unitPrice")
    tags: list[str] = pydantic.Field(default_factory=list)
    note: str = "-"


class Page(Struct, Generic[T]):
    items: list[T]


class Tree(Struct):
    value: int
    branches: list[Tree] = []


@pytest.mark.parametrize(
    ("kind", "names", "defaults"),
    [
        (Renamed, ["unitPrice", "tags", "remark"], [NO_DEFAULT, [], "-"]),
        (Data, ["unit_price", "tags", "note"], [NO_DEFAULT, [], "-"]),
        (Typed, ["unit_price", "note"], [NO_DEFAULT, None]),
        (Attrs, ["unit_price", "tags", "note", "own"], [NO_DEFAULT, [], "-", None]),
        (Model, ["unitPrice", "tags", "note"], [NO_DEFAULT, [], "-"]),
        (Annotated[Data, "noted"], ["unit_price", "tags", "note"], [NO_DEFAULT, [], "-"]),
    ],
)
def test_fields(kind: Any, names: list[str], defaults: list[Any]) -> None:
    """Names as they are outside of Python, defaults made, constraints kept."""
    fields = fields_of(kind)
    assert [found.name for found in fields] == names
    assert [found.default for found in fields] == defaults
    assert [found.is_required for found in fields] == [default is NO_DEFAULT for default in defaults]
    assert fields[0].kind == Positive or is_pydantic(kind)


def test_other_types_have_none() -> None:
    """What is no record has no fields; a generic record has those of its argument."""
    assert [fields_of(kind) for kind in (int, list[int], "text", Any)] == [()] * 4
    assert not any(is_record(kind) for kind in (int, list[int], dict, Any, int | None))
    assert fields_of(Page[int]) == (Field("items", list[int]),)


def test_lists() -> None:
    """Several values, also where None is allowed or there is metadata."""
    for kind in (list, list[int], set[int], tuple[int, ...], frozenset[int], list[int] | None, Annotated[list[int], 1]):
        assert is_list(kind)
    assert not any(is_list(kind) for kind in (int, str, dict[str, int], int | None, Data))


def faults_of(kind: Any, value: Any) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        converter_of(kind).decode(msgspec.json.encode(value))
    return caught.value.faults


def test_names_outside_of_python() -> None:
    """Faults are at the names that the client has sent."""
    assert faults_of(Renamed, {"unitPrice": 0, "remark": 1}) == [
        (".unitPrice", "Expected `int` >= 1"),
        (".remark", "Expected `str`, got `int`"),
    ]


def test_generic_records_and_keys() -> None:
    """A generic record's fields have the types of its argument; a key that doesn't fit is a fault of the mapping."""
    assert faults_of(Page[int], {"items": [1, "x", "y"]}) == [
        (".items[1]", "Expected `int`, got `str`"),
        (".items[2]", "Expected `int`, got `str`"),
    ]
    assert faults_of(dict[int, int], {"x": 1}) == [("", "Expected `int`, got `str`")]
    assert faults_of(dict, []) == [("", "Expected `object`, got `array`")]
    assert faults_of(list[int] | dict[str, int], {"a": "x"}) == [(".a", "Expected `int`, got `str`")]
    assert faults_of(int | None, [1]) == [("", "Expected `int | null`, got `array`")]


def test_what_only_a_decoder_sees() -> None:
    """The decoder's own words win at their place over those for what was decoded; without a place there they are left out."""

    def convert(value: Any, kind: Any) -> Any:
        return msgspec.convert(value, kind)

    told = msgspec.ValidationError("The decoder's words - at `$.value`")
    assert all_faults({"value": "x"}, Tree, told, convert) == [(".value", "The decoder's words")]
    elsewhere = msgspec.ValidationError("The decoder's words")
    assert all_faults({"value": "x"}, Tree, elsewhere, convert) == [(".value", "Expected `int`, got `str`")]
    assert all_faults({"value": 1}, Tree, elsewhere, convert) == [("", "The decoder's words")]


def test_bounds_of_the_walk() -> None:
    """However much is wrong, and however deep, the report and the work for it are bounded; the first fault is always there."""
    assert len(faults_of(list[int], ["x"] * 1000)) == MAX_FAULTS
    late: list[Any] = [*range(MAX_STEPS), "x"]
    assert faults_of(list[int], late) == [(f"[{MAX_STEPS}]", "Expected `int`, got `str`")]
    deep: dict[str, Any] = {"value": "x"}
    for _ in range(MAX_DEPTH + 3):
        deep = {"value": 1, "branches": [deep]}
    ((path, message),) = faults_of(Tree, deep)
    assert (path, message) == (".branches[0]" * (MAX_DEPTH + 3) + ".value", "Expected `int`, got `str`")


def test_signatures_of_callables() -> None:
    """Functions, partials, classes and callable objects are read alike; an annotation that can't be resolved stays text."""

    class Callable:
        def __call__(self, a: int) -> None: ...

    def function(a: int, b: Nowhere = 1) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert hints_of(Callable())["a"] is int
    assert hints_of(partial(function, b=2)) == {"a": int, "b": "Nowhere", "return": None}
    assert [(found.name, found.kind, found.is_required) for found in parameters_of(Data)] == [
        ("unit_price", Positive, True),
        ("tags", list[str], False),
        ("note", str, False),
    ]
    assert hints_of(Typed)  # no `__init__` of its own

    async def before(request: Any) -> None: ...

    assert innermost(run_first(function, before)) is function


def test_without_pydantic(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as nobody has loaded pydantic, no type is one of its models, and nothing loads it."""
    monkeypatch.delitem(sys.modules, "pydantic")
    assert not is_pydantic(Model)
    assert "pydantic" not in sys.modules


@attrs.define
class Plain:
    value: int
    items: list[int] = attrs.field(factory=list)


NAMES = st.sampled_from(["value", "branches", "items", "x", "unitPrice", "unit_price", "type"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
JSON_VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner), max_leaves=12)
KINDS = [Tree, Renamed, Data, Typed, Plain, Page[int], Page[Tree], list[Tree], dict[str, Data], list[int] | dict[str, Tree], Model]


@given(JSON_VALUES, st.sampled_from([*KINDS, Tree | None, list[Model]]))
def test_every_value_fits_or_has_its_faults(value: Any, kind: Any) -> None:
    """Whatever a client sends is converted, or there is at least one fault, each once, and nothing else is raised."""
    faults: list[tuple[str, str]] | None = None
    try:
        converter_of(kind).decode(msgspec.json.encode(value))
    except Invalid as exc:
        faults = exc.faults
    assert faults is None or len(set(faults)) == len(faults) > 0
    assert all(message and isinstance(path, str) for path, message in faults or ())
