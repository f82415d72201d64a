"""The typed body of the workload "JSON body", for servers that have no validation of their own to show."""

from __future__ import annotations

import msgspec


class Price(msgspec.Struct, forbid_unknown_fields=True):
    amount: int
    currency: str


class Item(msgspec.Struct, forbid_unknown_fields=True):
    id: int
    sku: str
    name: str
    price: Price
    stock: int
    tags: list[str]
    description: str


decode = msgspec.json.Decoder(Item).decode
encode = msgspec.json.Encoder().encode
