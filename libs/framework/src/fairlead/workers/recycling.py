"""When a worker has served long enough: by requests, age or memory (mission K5).

How this works. A worker looks at itself with each beat and, once a limit is passed, asks the supervisor for a replacement:
the new one is started first, so nobody notices. Each limit is stretched by up to a tenth at random, or the workers of a
fleet, all started in the same moment, would all be replaced in the same moment. A limit of 0 is none.

It is a remedy for leaks of others' making, not for memory that a service needs: that is what the workers' count is for.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from fairlead.config import Config

__all__ = ["Recycling", "resident_bytes"]

JITTER: Final = 0.1
ASK_AGAIN_S: Final = 30.0
"""A worker whose wish was not granted (its replacement did not start) repeats it after this."""

MIB: Final = 1024 * 1024


class Recycling:
    """The limits of one worker's life. Made when it is ready; call `due` with each beat."""

    def __init__(
        self,
        config: Config,
        *,
        uniform: Callable[[float, float], float] = random.uniform,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._born_s = clock()
        self._quiet_until_s = self._born_s
        self._max_requests = config.WORKER_MAX_REQUESTS * uniform(1, 1 + JITTER)
        self._max_age_s = config.WORKER_MAX_AGE * uniform(1, 1 + JITTER)
        self._max_resident_mib = config.WORKER_MAX_MEMORY * uniform(1, 1 + JITTER)

    @property
    def is_off(self) -> bool:
        """No limit is set."""
        return not (self._max_requests or self._max_age_s or self._max_resident_mib)

    def due(self, requests: int, resident: int) -> str:
        """Why to be replaced now, given the requests answered and the bytes resident; "" to go on."""
        now_s = self._clock()
        if now_s < self._quiet_until_s:
            return ""
        cause = self._passed(requests, now_s - self._born_s, resident // MIB)
        if cause:
            self._quiet_until_s = now_s + ASK_AGAIN_S
        return cause

    def _passed(self, requests: int, age_s: float, resident_mib: int) -> str:
        if 0 < self._max_requests <= requests:
            return f"{requests} requests answered"
        if 0 < self._max_age_s <= age_s:
            return f"{age_s:.0f} s old"
        if 0 < self._max_resident_mib <= resident_mib:
            return f"{resident_mib} MiB resident"
        return ""


def resident_bytes() -> int:
    """Memory of this process; 0 where it is not to be told."""
    with suppress(OSError), open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    return 0
