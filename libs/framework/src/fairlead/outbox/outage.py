"""An interruption as one event with a beginning and an end, however many attempts lie between."""

from __future__ import annotations

import logging
import time
from typing import Final

from fairlead.backoff import Backoff

__all__ = ["Outage"]

FIRST_DELAY_S: Final = 0.1
LONGEST_DELAY_S: Final = 2.0
"""So a recovery is noticed within two seconds; one attempt per worker and two seconds burdens no server."""


class Outage:
    """Counts the attempts of `what`, spaces them out, and logs one line when it fails and one when it works again.

    Delays double from about `FIRST_DELAY_S` to `LONGEST_DELAY_S`. `attempts` counts those that failed since the last success.
    """

    def __init__(self, what: str, logger: logging.Logger) -> None:
        self._what = what
        self._logger = logger
        self.attempts = 0
        self._began_at_s = 0.0
        self._backoff = Backoff(FIRST_DELAY_S, LONGEST_DELAY_S)

    def failed(self, error: Exception, *, is_expected: bool) -> float:
        """An attempt failed: the seconds until the next. An error that nobody expected is logged with its trace."""
        self.attempts += 1
        if self.attempts == 1:
            self._began_at_s = time.monotonic()
            trace = None if is_expected else error
            self._logger.warning("%s interrupted: %s", self._what, _shown(error), exc_info=trace)
        return self._backoff.next_s()

    def over(self) -> None:
        """An attempt succeeded. Call it after every success; it is silent unless the one before failed."""
        if self.attempts:
            lasted_s = time.monotonic() - self._began_at_s
            self._logger.info("%s resumed after %.1f s, %d attempts", self._what, lasted_s, self.attempts)
            self.attempts = 0
            self._backoff.reset()


def _shown(error: Exception) -> str:
    """The error and what caused it, in one line."""
    cause = error.__cause__
    text = f"{type(error).__name__}: {error}"
    return text if cause is None else f"{text} ({type(cause).__name__}: {cause})"
