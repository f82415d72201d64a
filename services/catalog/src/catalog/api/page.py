"""Pages of the product list.

A cursor names the last product that the client has seen, and a page holds what follows it. Unlike an offset it can't
slip: a product that exists from the first page to the last is on exactly one of them, whatever is added or removed
meanwhile.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from catalog.domain.product import Product
from fairlead.errors import ValidationFailed

__all__ = ["Page", "PageQuery", "page_of"]


class PageQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The query string of a list."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: str | None = None

    def after(self) -> UUID | None:
        """The product that the page follows. Raises `ValidationFailed` for a cursor that this list never gave."""
        if self.cursor is None:
            return None
        try:
            product_id = UUID(bytes=base64.urlsafe_b64decode(self.cursor + "=="))
        except (ValueError, binascii.Error):
            product_id = None
        if product_id is None or _cursor(product_id) != self.cursor:  # the decoder skips what it doesn't know
            raise ValidationFailed([{"location": "query.cursor", "message": "Not a cursor of this list"}])
        return product_id


class Page(Struct, frozen=True):
    """Some products, oldest first, and the cursor of the next page; None on the last one."""

    items: list[Product]
    next_cursor: str | None


def page_of(products: list[Product], limit: int) -> Page:
    """The page of `limit` products, of which one more was asked for to learn whether there are more."""
    items = products[:limit]
    return Page(items, _cursor(items[-1].id) if len(products) > limit else None)


def _cursor(product_id: UUID) -> str:
    return base64.urlsafe_b64encode(product_id.bytes).decode().rstrip("=")
