"""The feed, put together: what it stands on, and in which order that is opened and closed."""

from __future__ import annotations

from typing import Any

from fairlead import App, auth, openapi, redis
from fairlead.channels import Channels
from fairlead.channels.redis import RedisBackend
from fairlead.limits.redis import RedisBackend as RedisCounters
from feed.api.page import page
from feed.api.products import products
from feed.api.rooms import rooms
from feed.domain.allowance import UserAllowance
from feed.domain.ended_sessions import STREAM as ENDED
from feed.domain.ended_sessions import EndedSessions
from feed.domain.live import LiveProducts
from feed.domain.rooms import Rooms
from feed.settings import Settings

__all__ = ["build_app"]


def build_app(settings: Settings) -> App[Any, Any]:
    """The app. Without Redis it is not ready (503 on the probe), but its page and its open websockets stay, and catch up."""
    app: App[Any, Any] = App("feed")
    client = redis.attach(app, settings.redis_url)
    backend = RedisBackend(client)
    auth.attach(app, issuer=settings.auth_issuer, jwks_url=settings.auth_jwks_url, audience="fairlead")

    live = LiveProducts(backend)
    app.ctx.live = live
    app.health.add("stream", live.reader.check)
    app.add_task(live.run, name="live products")

    ended = EndedSessions(backend.stream(ENDED))
    app.ctx.ended_sessions = ended
    app.health.add("ended sessions", ended.reader.check)
    app.add_task(ended.run, name="ended sessions")

    channels = Channels(backend, prefix="feed:").attach(app, critical=True)
    app.ctx.rooms = Rooms(channels, settings.rooms, UserAllowance(RedisCounters(client)))

    @app.after_server_stop
    async def leave(app: App[Any, Any]) -> None:
        await live.presence.close()

    origins = (*settings.websocket_origins, *app.config.WEBSOCKET_ORIGINS)
    app.blueprint(products(origins))
    app.blueprint(rooms(origins))
    app.blueprint(page(settings.public_auth_url, settings.public_catalog_url, settings.rooms))
    openapi.attach(app, title="Feed", version="1", description="The live side: changes come over the websocket `/ws/products`.")
    return app
