"""Waits for a service's `/readyz`."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec

from fairlead.local.failure import LocalError
from fairlead.local.plan import Service
from fairlead.local.ports import LOOPBACK

__all__ = ["worker_count"]

ASK_TIMEOUT_S: Final = 2.0
POLL_S: Final = 0.05


async def worker_count(service: Service, timeout_s: float) -> int:
    """Waits until the service is ready with all its workers, and gives their number.

    Raises LocalError, with the reason that the service gives, when it is not ready within `timeout_s`."""
    reason = "its management port does not answer"
    deadline = asyncio.get_running_loop().time() + timeout_s
    while asyncio.get_running_loop().time() < deadline:
        answer = await _ask(service.management_port)
        if answer is not None:
            reason = answer["reason"]
            states = [worker["state"] for worker in answer["workers"]]
            if answer["ok"] and set(states) == {"ready"}:
                return len(states)
        await asyncio.sleep(POLL_S)
    raise LocalError(f"{service.name} is not ready after {timeout_s:.0f} s: {reason}")


async def _ask(port: int) -> Any:
    """The probe's JSON, or None when there is no whole answer."""
    request = f"GET /readyz?verbose HTTP/1.1\r\nHost: {LOOPBACK}:{port}\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            try:
                writer.write(request.encode())
                answer = await reader.read()
            finally:
                writer.close()
                await writer.wait_closed()
        return msgspec.json.decode(answer.partition(b"\r\n\r\n")[2])
    except (OSError, TimeoutError, msgspec.DecodeError):
        return None
