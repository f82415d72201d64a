"""What is asked of every server, and the answer that it must give before anything is measured.

Adding a workload is adding a line to `WORKLOADS` and its route to the servers that shall take part.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOAD = Path(__file__).parent / "load"

ITEM = {
    "id": 4711,
    "sku": "HMR-0815-EU",
    "name": "Claw hammer, fibreglass handle, 450 g",
    "price": {"amount": 2490, "currency": "EUR"},
    "stock": 128,
    "tags": ["tools", "hardware", "bestseller"],
    "description": "Forged head, ground face, magnetic nail starter. Weight of the head 450 g, length 33 cm.",
}
"""About 300 bytes of JSON: what a small service is sent."""

MALFORMED_ITEM = {**ITEM, "price": {"amount": "a lot", "currency": "EUR"}}

BROWSER_HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.9,de;q=0.8",
    "Accept-Encoding": "gzip, deflate, br",
    "Cache-Control": "no-cache",
    "Pragma": "no-cache",
    "Referer": "http://127.0.0.1/products?page=3",
    "Cookie": "session=2f6a9c1d4b8e; theme=dark; consent=essential",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "X-Forwarded-For": "203.0.113.7",
}
"""Eleven, and the Host makes twelve."""

ECHO = "x" * 32
"""The message that goes to and fro."""


@dataclass(frozen=True)
class Workload:
    """One column of the table. `script` is wrk's; without one it sends a plain GET."""

    name: str
    title: str
    target: str
    answer: Any
    headers: dict[str, str] = field(default_factory=dict)
    script: Path | None = None
    body: Any = None
    is_websocket: bool = False

    @property
    def body_bytes(self) -> bytes:
        """The request's body as it is sent."""
        return b"" if self.body is None else json.dumps(self.body, separators=(",", ":")).encode()


HELLO = "Hello, World!"

WORKLOADS = (
    Workload("plaintext", "plaintext", "/plaintext", HELLO),
    Workload("json", "JSON", "/json", {"message": HELLO, "id": 42, "ok": True}),
    Workload("path", "path + query", "/users/42?q=fairlead", {"id": 42, "q": "fairlead"}),
    Workload("body", "JSON body", "/items", ITEM, {"Content-Type": "application/json"}, LOAD / "body.lua", ITEM),
    Workload("headers", "12 headers", "/plaintext", HELLO, BROWSER_HEADERS),
    Workload("pipelined", "pipelined x16", "/plaintext", HELLO, script=LOAD / "pipelined.lua"),
    Workload("websocket", "ws echo x64", "/ws", ECHO, is_websocket=True),
)

BY_NAME = {workload.name: workload for workload in WORKLOADS}
HTTP = tuple(workload.name for workload in WORKLOADS if not workload.is_websocket)
EVERYTHING = tuple(BY_NAME)
