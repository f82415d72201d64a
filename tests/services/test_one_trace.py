"""One trace from a changed price to every open page: REST → PostgreSQL → outbox → Redis stream → websockets (K10, C1)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
from opentelemetry.sdk.trace import ReadableSpan

import catalog.service
import catalog.settings
import feed.service
import feed.settings
from fairlead.settings import Secret
from fairlead.testing import AsyncTestClient
from tests.framework.telemetry.otel.conftest import Traces, trace  # noqa: F401 - a fixture
from tests.services.catalog.conftest import (  # noqa: F401 - fixtures
    ISSUER,
    WRITE,
    Issuer,
    database_url,
    issuer,
    serving,
)

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CALLER = f"00-{TRACE_ID}-b7ad6b7169203331-01"


async def test_one_trace_from_rest_to_websocket(
    trace: Callable[..., Traces],  # noqa: F811
    database_url: str,  # noqa: F811
    redis_url: str,
    issuer: Issuer,  # noqa: F811
) -> None:
    """Each step is a child of the one before: request, statement, outbox to stream, stream to the open websockets."""
    traces = trace(OTEL_TRACES_SAMPLER="parentbased_always_off")  # only what the caller has sampled
    instrumentor = AsyncPGInstrumentor()
    instrumentor.instrument(tracer_provider=traces.provider)
    catalogue = catalog.service.build_app(
        catalog.settings.Settings(
            database_url=Secret(database_url),
            redis_url=Secret(redis_url),
            auth_issuer=ISSUER,
            auth_jwks_url=issuer.jwks_url,
        )
    )
    live = feed.service.build_app(
        feed.settings.Settings(
            redis_url=Secret(redis_url),
            auth_issuer=ISSUER,
            auth_jwks_url=issuer.jwks_url,
            public_auth_url=ISSUER,
            public_catalog_url=ISSUER,
        )
    )
    product = {"sku": "MUG-1", "name": "Mug", "price": {"amount": 1250, "currency": "EUR"}, "stock": 3}
    try:
        async with (
            serving(traces.watch(catalogue)) as url,
            httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {issuer.token(WRITE)}"}) as client,
            AsyncTestClient(traces.watch(live)) as pages,
        ):
            await live.ctx.live.reader.live.wait()
            async with pages.websocket("/ws/products") as page, asyncio.timeout(20):
                answer = await client.post("/v1/products", json=product, headers={"traceparent": CALLER})
                assert answer.status_code == 201
                while (await page.recv_json())["type"] != "product.created":
                    pass
    finally:
        instrumentor.uninstrument()
    steps = {span.name: span for span in traces.finished if _trace_id(span) == TRACE_ID}
    assert {_trace_id(span) for span in traces.finished} == {TRACE_ID}
    request = steps["POST /v1/products/"]
    assert _parent_id(request) == "b7ad6b7169203331"
    statement = next(span for name, span in steps.items() if name.startswith("INSERT"))
    assert _parent_id(statement) == _span_id(request)
    sent = steps["send catalog:products"]
    processed = steps["process catalog:products"]
    delivered = steps["send websockets"]
    assert _parent_id(processed) == _span_id(sent)
    assert _parent_id(delivered) == _span_id(processed)
    assert (delivered.attributes or {})["messaging.batch.message_count"] == 1


def _trace_id(span: ReadableSpan) -> str:
    return f"{span.get_span_context().trace_id:032x}"  # type: ignore[union-attr]


def _span_id(span: ReadableSpan) -> str:
    return f"{span.get_span_context().span_id:016x}"  # type: ignore[union-attr]


def _parent_id(span: ReadableSpan) -> str:
    return f"{span.parent.span_id:016x}" if span.parent is not None else ""
