"""Marks: where the value of a handler's parameter comes from. `Body[T]` is `T` to a type checker.

`Query`, `Header`, `Cookie`, `Form` and `Path` take either a record (Struct, dataclass, TypedDict, attrs class, pydantic model),
whose fields are the names, or a plain type, and then the parameter's own name is the name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias, TypeVar

T = TypeVar("T")

Place: TypeAlias = Literal["body", "query", "header", "cookie", "form", "path"]


@dataclass(frozen=True, slots=True)
class Source:
    """The metadata that a mark puts into an annotation."""

    place: Place


Body: TypeAlias = Annotated[T, Source("body")]
"""The JSON body, decoded into T."""

Query: TypeAlias = Annotated[T, Source("query")]
"""The query string, or one of its parameters."""

Header: TypeAlias = Annotated[T, Source("header")]
"""The header fields, or one of them; `_` in a name stands for `-`."""

Cookie: TypeAlias = Annotated[T, Source("cookie")]
"""The cookies, or one of them."""

Form: TypeAlias = Annotated[T, Source("form")]
"""A form, or one of its fields; a field of the type `fairlead.uploads.File` is an upload. The route reads its body as a stream."""

Path: TypeAlias = Annotated[T, Source("path")]
"""A path parameter that has to be more than the route's type says, or all of them."""
