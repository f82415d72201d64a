"""Two validators that share nothing: the official JSON Schema of the specification, and FastAPI's model of it."""

from __future__ import annotations

from typing import Any

from fastapi.openapi.models import OpenAPI
from openapi_spec_validator import OpenAPIV31SpecValidator


def check(document: dict[str, Any]) -> None:
    """Raises when either finds something, or when a reference leads nowhere."""
    OpenAPIV31SpecValidator(document).validate()
    OpenAPI.model_validate(document)
    for reference in references(document):
        found: Any = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]


def references(part: Any) -> list[str]:
    """Every `$ref` in a document."""
    if isinstance(part, list):
        return [reference for element in part for reference in references(element)]
    if not isinstance(part, dict):
        return []
    own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
    return own + [reference for element in part.values() for reference in references(element)]
