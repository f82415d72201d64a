"""Coarse time.

The request path never asks the kernel for the time: a worker's loop refreshes this clock once a second, and everything that
needs no better resolution (deadlines of connections, the Date header) reads it. PERF: two clock reads and a `strftime` per
request cost about as much as parsing the request line.
"""

from __future__ import annotations

import time
from email.utils import formatdate


class CoarseClock:
    """`now` is `time.monotonic()` cut to whole seconds.

    `date_line` is the ready-made Date header, line end included; `date_and_id` goes on with the name of the request id's header.
    """

    __slots__ = ("date_and_id", "date_line", "now")

    def __init__(self) -> None:
        self.now: float = 0.0
        self.date_line: bytes = b""
        self.date_and_id: bytes = b""
        self.refresh()

    def refresh(self) -> None:
        """Read the system's clocks. Called once a second while a server runs."""
        self.now = float(int(time.monotonic()))
        self.date_line = b"date: " + formatdate(usegmt=True).encode() + b"\r\n"
        self.date_and_id = self.date_line + b"x-request-id: "


CLOCK = CoarseClock()
"""The process's one coarse clock."""
