"""A product, what a client may say of it, and how a change is applied.

The structs describe the JSON of the REST API and of the events alike: what is encoded here is what both show. They
hold every rule that can be checked by looking at one value; that a SKU is unique is a matter of the store.
"""

from __future__ import annotations

import os
import time
from datetime import datetime
from typing import Annotated, TypeAlias
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from catalog.domain.currency import Currency

__all__ = ["Money", "NewProduct", "Product", "ProductPatch", "apply", "new_product_id"]

Sku: TypeAlias = Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$(?!\n)")]
"""Letters, digits, dot, hyphen and underscore of ASCII: safe in a URL, a file name, a bar code and a spreadsheet."""

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f]*$(?!\n)")]
"""Not blank, one line. PostgreSQL could not store U+0000 in any case."""

Amount: TypeAlias = Annotated[int, Meta(ge=0, le=9_007_199_254_740_991)]
"""Minor units. The limit is 2^53 - 1: beyond it JavaScript would show another number than was stored."""

Stock: TypeAlias = Annotated[int, Meta(ge=0, le=2_147_483_647)]


class Money(Struct, frozen=True, forbid_unknown_fields=True):
    """An amount in minor units of a currency: 1999 and "EUR" are 19.99 euros."""

    amount: Amount
    currency: Currency


class NewProduct(Struct, frozen=True, forbid_unknown_fields=True):
    """What a client says of a product that it creates; the rest is the service's to say."""

    sku: Sku
    name: Name
    price: Money
    stock: Stock = 0


class Product(Struct, frozen=True):
    """A product as clients see it. `version` begins at 1 and grows by one with every change; times are UTC."""

    id: UUID
    sku: str
    name: str
    price: Money
    stock: int
    version: int
    created_at: datetime
    updated_at: datetime


class MoneyPatch(Struct, frozen=True, forbid_unknown_fields=True):
    """A change of a price; what is left out stays."""

    amount: Amount | UnsetType = UNSET
    currency: Currency | UnsetType = UNSET


class ProductPatch(Struct, frozen=True, forbid_unknown_fields=True):
    """A JSON merge patch (RFC 7396) of a product; no member may be null, because none can be removed."""

    sku: Sku | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    price: MoneyPatch | UnsetType = UNSET
    stock: Stock | UnsetType = UNSET


def apply(patch: ProductPatch, product: Product) -> Product:
    """`product` with the patch merged in; equal to `product` when the patch changes nothing."""
    changes = _given(patch)
    if isinstance(patch.price, MoneyPatch):
        changes["price"] = msgspec.structs.replace(product.price, **_given(patch.price))
    return msgspec.structs.replace(product, **changes)


def _given(patch: Struct) -> dict[str, object]:
    return {name: value for name, value in msgspec.structs.asdict(patch).items() if value is not UNSET}


def new_product_id() -> UUID:
    """A UUID of version 7 (RFC 9562 §5.7): milliseconds since 1970, then 74 random bits.

    Version 7 rather than 4, because ids then sort by age: the primary key alone serves the pages of a list, and new
    rows go to one end of its index. That an id tells when a product was created gives nothing away; `created_at` says
    so as well.
    """
    milliseconds = time.time_ns() // 1_000_000
    random_bits = int.from_bytes(os.urandom(10)) >> 6
    return UUID(int=milliseconds << 80 | 0x7 << 76 | random_bits >> 62 << 64 | 0b10 << 62 | random_bits & (1 << 62) - 1)
