"""Messages to many websockets over many workers and pods: streams that are fanned out, and presence.

`Channels` has named groups, and is what most applications want::

    channels = Channels(RedisBackend(redis)).attach(app)

    @app.websocket("/rooms/<name:str>")
    async def room(request, ws, name):
        async with channels.group(name).join(ws, after=request.args.get("after")):
            async for text in ws:
                await channels.group(name).broadcast({"text": text})

Below it are three nouns, each usable alone, for streams that others write:

- A `Fanout` holds the subscriptions of one worker. What is published to it reaches each of them through the bounded
  queue of its connection; who can't keep up is closed with 1013 and may resume from the last id that it has seen.
- A `StreamReader` follows a stream (one reader per worker, however many websockets) and publishes what it reads to a
  fanout.
- A `Presence` counts who is here over all workers: each worker reports its own number and hears of the others'.

Streams and counts come from a backend: `RedisBackend` where several workers or pods serve the same page,
`MemoryBackend` for one process and for tests. Both are taken by the same code::

    backend = RedisBackend(redis)  # from fairlead.channels.redis
    fanout = Fanout(gap_notice='{"type": "gap"}')
    reader = StreamReader(backend.stream("catalog:products"), fanout, render=render)
    presence = Presence(backend.tally("feed:viewers"), on_change=show_count)

    @app.websocket("/ws/products")
    async def products(request, ws):
        with presence.join(), fanout.subscribe(ws):
            async for _ in ws:
                pass

`reader.run()` and `presence.run()` are coroutines for the app's tasks; they outlive every outage of the backend.
"""

from fairlead.backoff import Backoff
from fairlead.channels.fanout import Fanout, Recipient, Subscription
from fairlead.channels.group import Group
from fairlead.channels.history import History
from fairlead.channels.memory import MemoryBackend
from fairlead.channels.presence import Presence, Tally
from fairlead.channels.publication import Publication
from fairlead.channels.reader import ReaderState, StreamReader
from fairlead.channels.stream import Entry, Extent, Stream, StreamPosition, StreamUnavailable
from fairlead.channels.switchboard import Channels

__all__ = [
    "Backoff",
    "Channels",
    "Entry",
    "Extent",
    "Fanout",
    "Group",
    "History",
    "MemoryBackend",
    "Presence",
    "Publication",
    "ReaderState",
    "Recipient",
    "Stream",
    "StreamPosition",
    "StreamReader",
    "StreamUnavailable",
    "Subscription",
    "Tally",
]
