"""Notices an event loop that is blocked, and says by what (mission T3).

The loop ticks every `interval_s`; a thread looks whether it still does. When no tick came for `threshold_s`, the
thread logs the stack that the loop's thread is in, once per blockage, with the id of the request whose handler it
found there; when the loop ticks again, it logs how long it stood still. Both are counted, and `on_blocked` is called
(the worker tells the supervisor).

A thread needs the GIL. Code that holds it throughout (a catastrophic regular expression, one long C call) also stops
this thread; it then runs at the first moment that the GIL is free, when the loop's thread is usually still in the
function that made the call, and the duration is right in any case, because it is taken from the ticks. The
supervisor's heartbeat is what notices a process that never comes back.

Rejected: asyncio's debug mode (slows every callback down, and reports after the fact, without a stack);
`faulthandler.dump_traceback_later` (works without the GIL, but there is one timer per process, and test runners own
it); SIGALRM (only the main thread gets it, and it interrupts system calls).
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import traceback
from collections.abc import Callable
from time import monotonic
from types import FrameType

from fairlead.request import Request
from fairlead.telemetry.instruments import Registry
from fairlead.telemetry.instruments import registry as process_registry

__all__ = ["Watchdog"]

_logger = logging.getLogger("fairlead.watchdog")

LAG_WINDOW_S = 30.0
"""The gauge tells of the longest lag of this and of the window before, so that every reader sees it, however many there are."""

OnBlocked = Callable[[float, str], None]
"""`(blocked_s, stack)`, called in the watchdog's thread, once per blockage."""


class Watchdog:
    """Watches the loop that `start` is called in. One per worker."""

    def __init__(
        self,
        threshold_s: float = 1.0,
        *,
        on_blocked: OnBlocked | None = None,
        registry: Registry = process_registry,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        if threshold_s <= 0:
            raise ValueError(f"threshold_s is above 0, not {threshold_s}")
        self.threshold_s = threshold_s
        self._interval_s = threshold_s / 4
        self._on_blocked = on_blocked
        self._clock = clock
        self._ticked_at = 0.0
        self._lag_s = self._last_lag_s = 0.0
        self._window_ends_at = 0.0
        self._blocked_at: float | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0
        self._timer: asyncio.TimerHandle | None = None
        blockages = "Times that the event loop stood still for longer than the threshold."
        self._blockages = registry.counter("fairlead_loop_blockages_total", blockages).labels()
        blocked = "Time that the event loop stood still in blockages."
        self._blocked_s = registry.counter("fairlead_loop_blocked_seconds_total", blocked).labels()
        lag = "The longest delay of the event loop's timer within the last half minute to minute."
        registry.gauge("fairlead_loop_lag_seconds", lag, combine="max").set_function(self.lag_s)

    def start(self) -> None:
        """Begin to watch the running loop."""
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._ticked_at = self._clock()
        self._timer = self._loop.call_later(self._interval_s, self._tick)
        self._thread = threading.Thread(target=self._watch, name="fairlead-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no more. Called in the loop's thread; a watchdog that was never started is no error."""
        self._stopping.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._thread is not None:
            self._thread.join(timeout=1.0)

    def lag_s(self) -> float:
        """The longest delay of a tick in this window and the one before; the present one counts while the loop is blocked."""
        return max(self._lag_s, self._last_lag_s, self._clock() - self._ticked_at - self._interval_s)

    # in the loop's thread

    def _tick(self) -> None:
        now = self._clock()
        late_s = now - self._ticked_at - self._interval_s
        if now >= self._window_ends_at:
            self._window_ends_at = now + LAG_WINDOW_S
            self._last_lag_s, self._lag_s = self._lag_s, 0.0
        self._lag_s = max(self._lag_s, late_s)
        if self._blocked_at is not None or late_s >= self.threshold_s:
            self._recover(now)
        self._ticked_at = now
        assert self._loop is not None
        self._timer = self._loop.call_later(self._interval_s, self._tick)

    def _recover(self, now: float) -> None:
        if self._blocked_at is None:  # the thread had no chance to see it
            self._blockages.inc()
        self._blocked_at = None
        blocked_s = now - self._ticked_at
        self._blocked_s.inc(blocked_s)
        _logger.warning("event loop runs again", extra={"blocked_s": round(blocked_s, 3)})

    # in the watchdog's thread

    def _watch(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                self.look()
            except Exception:  # a callback that fails must not end the watch
                _logger.exception("the watchdog has stumbled")

    def look(self) -> None:
        """Look once: what the thread does at every interval."""
        ticked_at = self._ticked_at
        blocked_s = self._clock() - ticked_at
        if blocked_s < self.threshold_s or self._blocked_at == ticked_at:
            return
        frame = sys._current_frames().get(self._loop_thread)
        if frame is None or self._ticked_at != ticked_at:
            return
        self._blocked_at = ticked_at
        self._blockages.inc()
        stack = "".join(traceback.format_stack(frame)).rstrip("\n")
        fields = {"blocked_s": round(blocked_s, 3), "stack": stack, **_request_in(frame)}
        _logger.warning("event loop is blocked", extra=fields)
        if self._on_blocked is not None:
            self._on_blocked(blocked_s, stack)


def _request_in(frame: FrameType | None) -> dict[str, str]:
    """The request of the innermost handler on the stack: another thread's context can't be read, its frames can."""
    while frame is not None:
        for value in frame.f_locals.values():
            if isinstance(value, Request):
                return {"request_id": value.id, "route": value.uri_template or ""}
        frame = frame.f_back
    return {}
