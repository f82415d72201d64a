"""Two instances of a service, two workers each, over one Redis: rooms full of clients, while Redis and a worker are killed.

Every client keeps what it is sent, comes back when its connection is lost, and resumes. At the end each must have every message of
its room, once, in order (issue 4, W9).
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from fairlead.channels import Channels
from fairlead.channels.redis import RedisBackend
from fairlead.websocket.client import ReconnectingClient, connect
from tests.chaos.process import ServiceProcess
from tests.redis_server import RedisServer

__all__ = ["Outcome", "run_rooms"]

ROOMS = 4
BEGINNING = "0-0"


@dataclass
class Member:
    """One client: what it was sent, in order, and whom it was connected to."""

    room: int
    client: ReconnectingClient
    numbers: list[int] = field(default_factory=list)
    pids: set[str] = field(default_factory=set)
    gaps: int = 0
    joined: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self, count: int) -> None:
        """Until as many messages have come; a repeat counts, so that it shows."""
        async with self.client:
            while len(self.numbers) < count:
                said: dict[str, Any] = await self.client.recv()
                if "pid" in said:
                    self.pids.add(said["pid"])
                    self.joined.set()
                elif said["type"] == "message":
                    self.numbers.append(said["data"])
                elif said["type"] == "gap":
                    self.gaps += 1


@dataclass
class Outcome:
    """What came of it."""

    clients: int
    messages: int
    reconnects: int
    workers: int
    problems: list[str]


async def run_rooms(*, clients: int, messages: int, limit_s: float) -> Outcome:
    """`clients` for each of the two instances, `messages` in all rooms together; a quarter of the way a worker is killed, half-way
    Redis is. Raises TimeoutError when not all has arrived after `limit_s`."""
    per_room = messages // ROOMS
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fairlead-rooms-")))
        redis = RedisServer(folder / "redis")
        redis.start()
        stack.callback(redis.kill)
        instances = []
        for _ in range(2):
            instances.append(await ServiceProcess.start(2, "uvloop", folder, "rooms", redis_url=redis.url))
            stack.push_async_callback(instances[-1].clear)
        for instance in instances:
            await instance.ready()
        members = [
            Member(number % ROOMS, connect(f"ws://127.0.0.1:{instance.port}/rooms/{number % ROOMS}", max_queue=None))
            for instance in instances
            for number in range(clients)
        ]
        for member in members:
            member.client.last_id = BEGINNING  # one that loses its connection before the first message misses none either
        publisher = await stack.enter_async_context(Redis.from_url(redis.url))
        rooms = Channels(RedisBackend(publisher), max_entries=100_000, broadcast_timeout_s=60.0)
        said = 0

        async def speak(room: int) -> None:
            nonlocal said
            for number in range(per_room):
                await rooms.group(str(room)).broadcast(number)
                said += 1

        async def disturb() -> None:
            while said < messages / 4:  # noqa: ASYNC110 - a share of the work, not a time
                await asyncio.sleep(0.005)
            os.kill(instances[0].worker_pid(0), signal.SIGKILL)
            while said < messages / 2:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            redis.kill()
            await asyncio.sleep(0.3)
            await asyncio.to_thread(redis.start)

        async with asyncio.timeout(limit_s), asyncio.TaskGroup() as group:
            for member in members:
                group.create_task(member.listen(per_room))
            for member in members:
                await member.joined.wait()
            group.create_task(disturb())
            for room in range(ROOMS):
                group.create_task(speak(room))
        return _outcome(members, per_room)


def _outcome(members: list[Member], per_room: int) -> Outcome:
    expected = list(range(per_room))
    problems = []
    for number, member in enumerate(members):
        if member.numbers != expected:
            twice = [n for n, times in Counter(member.numbers).items() if times > 1]
            problems.append(f"client {number}: missing {sorted(set(expected) - set(member.numbers))[:5]}, twice {twice[:5]}")
        if member.gaps:
            problems.append(f"client {number}: {member.gaps} gaps")
    return Outcome(
        clients=len(members),
        messages=per_room * ROOMS,
        reconnects=sum(member.client.connections - 1 for member in members),
        workers=len(set.union(*(member.pids for member in members))),
        problems=problems,
    )
