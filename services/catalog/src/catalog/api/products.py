"""``/v1/products``: reading is public, changing needs a token with the scope ``catalog:write``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from catalog.api.page import Page, PageQuery, page_of
from catalog.domain.product import NewProduct, Product, ProductPatch
from fairlead import Blueprint, Body, HTTPResponse, Query, Request, empty, json, openapi
from fairlead.auth import protected
from fairlead.http.conditional import check_preconditions, entity_tag
from fairlead.idempotency import Idempotency

if TYPE_CHECKING:
    from catalog.stores.products import Condition, ProductStore
    from fairlead.idempotency.postgres import PostgresStore

__all__ = ["products"]

WRITE: Final = "catalog:write"

products = Blueprint("products", url_prefix="/v1/products")


@products.get("/")
@openapi.response(200, Page)
async def list_products(request: Request[Any, Any], query: Query[PageQuery]) -> HTTPResponse:
    """A page of the catalogue, oldest products first."""
    found = await _store(request).page(query.limit + 1, query.after())
    return json(page_of(found, query.limit))


@products.post("/")
@openapi.parameter("idempotency-key", location="header", description="Makes it safe to send the request again, for a day")
@openapi.response(201, Product)
@openapi.response(409, description="Another product has this SKU, or a request with this Idempotency-Key is being handled")
@protected(scope=WRITE)
@Idempotency(lambda app: app.ctx.answers)
async def create_product(request: Request[Any, Any], new: Body[NewProduct]) -> HTTPResponse:
    """Add a product: 201 with its address, 409 when its SKU is taken.

    With an `Idempotency-Key` the same request may be sent again: the product is added once, and the answer is the same.
    """
    answers: PostgresStore = request.app.ctx.answers
    async with answers.transaction(request) as connection:
        product = await _store(request).insert(connection, new)
    return _shown(product, 201, Location=f"/v1/products/{product.id}")


@products.get("/<product_id:uuid>")
@openapi.parameter("if-none-match", location="header", description="The tag of the version that the client has")
@openapi.response(200, Product)
@openapi.response(304, {}, description="The client has this version")
@openapi.response(404)
async def read_product(request: Request[Any, Any], product_id: UUID) -> HTTPResponse:
    """One product; 304 when If-None-Match names the version that the client has."""
    product = await _store(request).get(product_id)
    if check_preconditions("GET", request.headers, etag=_tag(product)):
        return empty(304, headers={"ETag": _tag(product)})
    return _shown(product)


@products.patch("/<product_id:uuid>")
@openapi.parameter("if-match", location="header", description="The tag of the version that is to be changed")
@openapi.response(200, Product)
@openapi.response(404)
@openapi.response(409, description="Another product has this SKU")
@openapi.response(412, description="The product has changed meanwhile")
@protected(scope=WRITE)
async def change_product(request: Request[Any, Any], product_id: UUID, patch: Body[ProductPatch]) -> HTTPResponse:
    """Merge a patch into a product: 412 when If-Match names another version, 409 when the new SKU is taken."""
    product = await _store(request).change(product_id, patch, _condition(request))
    return _shown(product)


@products.delete("/<product_id:uuid>")
@openapi.parameter("if-match", location="header", description="The tag of the version that is to be removed")
@openapi.response(204, description="Removed")
@openapi.response(404)
@openapi.response(412, description="The product has changed meanwhile")
@protected(scope=WRITE)
async def delete_product(request: Request[Any, Any], product_id: UUID) -> HTTPResponse:
    """Remove a product: 204, or 412 when If-Match names another version."""
    await _store(request).delete(product_id, _condition(request))
    return empty()


def _store(request: Request[Any, Any]) -> ProductStore:
    store: ProductStore = request.app.ctx.products
    return store


def _tag(product: Product) -> str:
    """Strong: two answers with one tag are the same bytes, as long as a product's JSON keeps its shape. A release that changes
    the shape has to change this too.
    """
    return entity_tag(product.version)


def _condition(request: Request[Any, Any]) -> Condition:
    """What If-Match and If-None-Match of a change ask of the product that is there: 412 unless it is so."""

    def check(product: Product) -> None:
        check_preconditions(
            request.method, request.headers, etag=_tag(product), message="The product has changed since it was read"
        )

    return check


def _shown(product: Product, status: int = 200, **headers: str) -> HTTPResponse:
    return json(product, status, headers={"ETag": _tag(product), **headers})
