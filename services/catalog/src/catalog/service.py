"""The catalogue, put together: what it stands on, and in which order that is opened and closed."""

from __future__ import annotations

from typing import Any

from catalog.api.products import products
from catalog.settings import Settings
from catalog.stores.products import ProductStore
from fairlead import App, auth, cors, openapi, outbox, postgres, redis
from fairlead.idempotency.postgres import PostgresStore
from fairlead.postgres.revisions import require_revision

__all__ = ["build_app"]


def build_app(settings: Settings) -> App[Any, Any]:
    """The app. It needs PostgreSQL to answer; without Redis it answers, and the outbox keeps the events for later."""
    app: App[Any, Any] = App("catalog")
    database = postgres.attach(app, settings.database_url)
    require_revision(app, database, "catalog")
    stream = redis.attach(app, settings.redis_url, critical=False)
    outbox.attach(app, database, stream)
    auth.attach(app, issuer=settings.auth_issuer, jwks_url=settings.auth_jwks_url, audience="fairlead")
    cors.attach(
        app,
        origins=settings.cors_origins,
        headers=("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match"),
        expose_headers=("ETag", "Idempotent-Replayed", "Location", "Retry-After", "X-Request-ID"),
    )
    app.ctx.products = ProductStore(database)
    app.ctx.answers = PostgresStore(database)
    app.blueprint(products)
    openapi.attach(app, title="Catalog", version="1", description="Products, and every change of them as an event.")
    return app
