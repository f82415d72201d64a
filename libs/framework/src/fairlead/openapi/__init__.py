"""OpenAPI 3.1 from what handlers say of themselves: annotations, docstrings, and decorators that refine them.

    from fairlead import openapi

    openapi.attach(app, title="Shop", version="1.2.0")

    @app.get("/products/<product_id:uuid>")
    @openapi.tag("Products")
    @openapi.response(404, description="There is no such product")
    async def product(request: Request, product_id: UUID) -> Product:
        \"\"\"One product.\"\"\"

How it works. `notes` holds what decorators say, on the handler itself; `schemas` turns types into JSON Schema by msgspec and
pydantic; `operation` describes one route, reading the same signature that calls are made by (`fairlead.injection`); `document`
puts the whole together; `pages` serves it with Swagger UI and Redoc, whose files come from a package. The names of the decorators
are those of Sanic Extensions.
"""

from __future__ import annotations

from fairlead.openapi.document import build_document, encode_document
from fairlead.openapi.notes import (
    BodyNote as RequestBody,
)
from fairlead.openapi.notes import (
    ParameterNote as Parameter,
)
from fairlead.openapi.notes import (
    ResponseNote as Response,
)
from fairlead.openapi.notes import (
    body,
    definition,
    deprecated,
    description,
    document,
    exclude,
    operation,
    parameter,
    response,
    secured,
    summary,
    tag,
)
from fairlead.openapi.pages import Documentation, attach

__all__ = [
    "Documentation",
    "Parameter",
    "RequestBody",
    "Response",
    "attach",
    "body",
    "build_document",
    "definition",
    "deprecated",
    "description",
    "document",
    "encode_document",
    "exclude",
    "operation",
    "parameter",
    "response",
    "secured",
    "summary",
    "tag",
]
