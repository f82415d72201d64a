"""The domain: ids that sort by age, patches that merge."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import RFC_4122, UUID

import pytest

from catalog.domain import product as domain
from catalog.domain.product import Money, MoneyPatch, Product, ProductPatch, apply, new_product_id

PRODUCT = Product(
    id=UUID(int=1),
    sku="MUG-1",
    name="Mug",
    price=Money(1250, "EUR"),
    stock=3,
    version=1,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    updated_at=datetime(2026, 1, 1, tzinfo=UTC),
)


def test_ids_are_version_7_and_differ() -> None:
    """RFC 9562 §5.7: version, variant, and 74 bits of chance."""
    ids = [new_product_id() for _ in range(1000)]
    assert {(value.version, value.variant) for value in ids} == {(7, RFC_4122)}
    assert len(set(ids)) == 1000
    chance = [value.int & (1 << 62) - 1 for value in ids] + [value.int >> 64 & 0xFFF for value in ids]
    assert min(chance) >= 0
    assert {bit for bit in range(62) if any(value.int >> bit & 1 for value in ids)} == set(range(62))
    assert {bit for bit in range(12) if any(value.int >> 64 + bit & 1 for value in ids)} == set(range(12))


def test_ids_sort_by_age(monkeypatch: pytest.MonkeyPatch) -> None:
    """An id of a later millisecond is larger, in number and in text; the time can be read from it."""
    ids = []
    for milliseconds in (0, 1, 255, 256, 1_795_199_834_593, 1_795_199_834_594, 2**48 - 1):
        monkeypatch.setattr(domain.time, "time_ns", lambda now=milliseconds: now * 1_000_000 + 999_999)
        ids.append(new_product_id())
        assert ids[-1].int >> 80 == milliseconds
    assert ids == sorted(ids)
    assert [str(value) for value in ids] == sorted(str(value) for value in ids)


@pytest.mark.parametrize(
    ("patch", "changes"),
    [
        (ProductPatch(), {}),
        (ProductPatch(price=MoneyPatch()), {}),
        (ProductPatch(name="Mug", stock=3), {}),
        (ProductPatch(stock=0), {"stock": 0}),
        (ProductPatch(sku="A", name="B"), {"sku": "A", "name": "B"}),
        (ProductPatch(price=MoneyPatch(amount=1)), {"price": Money(1, "EUR")}),
        (ProductPatch(price=MoneyPatch(currency="USD")), {"price": Money(1250, "USD")}),
    ],
)
def test_a_patch_changes_what_it_names(patch: ProductPatch, changes: dict[str, object]) -> None:
    """The rest stays; a patch without a difference gives an equal product."""
    changed = apply(patch, PRODUCT)
    shown = {name: getattr(changed, name) for name in Product.__struct_fields__}
    assert shown == {name: getattr(PRODUCT, name) for name in Product.__struct_fields__} | changes
    assert (changed == PRODUCT) == (not changes)
