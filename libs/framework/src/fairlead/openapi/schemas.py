"""JSON Schema (2020-12, which OpenAPI 3.1 uses) of the types that handlers name.

msgspec describes what it converts, pydantic its own models. A type that neither knows is described as anything, since a document
that says too little is better than one that can't be had.
"""

from __future__ import annotations

from typing import Any

import msgspec

from fairlead.injection.records import is_pydantic
from fairlead.uploads import File

_TEMPLATE = "#/components/schemas/{name}"

Schema = dict[str, Any]


class Schemas:
    """The schemas of one document, and the components that they refer to.

    All types are to be announced by `add` before the first is asked for: names are given when all are known.
    """

    def __init__(self) -> None:
        self._kinds: list[Any] = []
        self._schemas: list[Schema] | None = None
        self.components: dict[str, Schema] = {}

    def add(self, kind: Any) -> int:
        """Announce a type; gives its number."""
        self._kinds.append(kind)
        return len(self._kinds) - 1

    def schema(self, number: int) -> Schema:
        """The schema of an announced type: a reference where it has a name."""
        if self._schemas is None:
            self._schemas = self._describe()
        return self._schemas[number]

    def _describe(self) -> list[Schema]:
        plain = [_known(kind) for kind in self._kinds]
        schemas, self.components = msgspec.json.schema_components(plain, schema_hook=_hook, ref_template=_TEMPLATE)
        found = [self._model(kind) if is_pydantic(kind) else schema for kind, schema in zip(self._kinds, schemas, strict=True)]
        self.components = dict(sorted(self.components.items()))
        return found

    def _model(self, kind: Any) -> Schema:
        """By pydantic; its definitions become components."""
        import pydantic

        schema: Schema = pydantic.TypeAdapter(kind).json_schema(ref_template="#/components/schemas/{model}")
        self.components.update(schema.pop("$defs", {}))
        title = schema.get("title")
        if schema.get("type") == "object" and isinstance(title, str):
            self.components.setdefault(title, schema)
            return {"$ref": f"#/components/schemas/{title}"}
        return schema


def _known(kind: Any) -> Any:
    """The type, or Any for one that msgspec can't describe."""
    if is_pydantic(kind):
        return Any
    try:
        msgspec.json.schema_components([kind], schema_hook=_hook)
    except (TypeError, RuntimeError, NameError):
        return Any
    return kind


def _hook(kind: type) -> Schema:
    if kind is File:
        return {"type": "string", "format": "binary"}
    raise NotImplementedError
