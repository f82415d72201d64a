"""How long to wait before the next attempt: doubling, capped, and scattered so that workers don't return in step.

The one such rule of the house: channels, the outbox, the JWKS client, the websocket client and the supervisor wait by it.
"""

from __future__ import annotations

import random
from collections.abc import Callable

__all__ = ["Backoff", "unscattered"]


def unscattered(low: float, high: float) -> float:
    """For `uniform`, where nobody else would come back in the same moment: always the longest."""
    return high


class Backoff:
    """Delays of about `first_s`, twice that, and so on up to `cap_s`; `reset` after a success.

    Each delay is drawn from the upper half of its range: never zero, never in step with the other workers of a fleet
    that lost the same server in the same moment.
    """

    def __init__(
        self, first_s: float = 0.1, cap_s: float = 2.0, *, uniform: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._first_s = first_s
        self._cap_s = cap_s
        self._uniform = uniform
        self._next_s = first_s

    def next_s(self) -> float:
        """The time to wait now; the one after it is about twice as long."""
        longest_s = self._next_s
        self._next_s = min(longest_s * 2, self._cap_s)
        return self._uniform(longest_s / 2, longest_s)

    def reset(self) -> None:
        """Begin again with the shortest delay."""
        self._next_s = self._first_s
