"""The feed, put together: what it stands on, and in which order that is opened and closed."""

from __future__ import annotations

from typing import Any

from fairlead import App, redis
from fairlead.channels.redis import RedisBackend
from feed.api.page import page
from feed.api.products import products
from feed.domain.live import LiveProducts
from feed.settings import Settings

__all__ = ["build_app"]


def build_app(settings: Settings) -> App[Any, Any]:
    """The app. Without Redis it is not ready (503 on the probe), but its page and its open websockets stay, and catch up."""
    app: App[Any, Any] = App("feed")
    live = LiveProducts(RedisBackend(redis.attach(app, settings.redis_url)))
    app.ctx.live = live
    app.health.add("stream", live.reader.check)
    app.add_task(live.run, name="live products")

    @app.after_server_stop
    async def leave(app: App[Any, Any]) -> None:
        await live.presence.close()

    app.blueprint(products((*settings.websocket_origins, *app.config.WEBSOCKET_ORIGINS)))
    app.blueprint(page(settings.public_auth_url, settings.public_catalog_url))
    return app
