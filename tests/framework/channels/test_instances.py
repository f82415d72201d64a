"""Two instances over one Redis: nothing is lost, doubled or swapped when Redis and a worker are killed (W9).

In full: `make chaos CHAOS_ARGS="--events rooms"`.
"""

from __future__ import annotations

import pytest

from tests.chaos.rooms import run_rooms


@pytest.mark.deadline(90)
async def test_each_message_once_and_in_order() -> None:
    """A twentieth of what `make chaos` does: two instances with two workers each, four rooms."""
    outcome = await run_rooms(clients=12, messages=1200, limit_s=60)
    assert outcome.problems == []
    assert (outcome.clients, outcome.messages) == (24, 1200)
    assert outcome.reconnects > 0
    assert outcome.workers >= 4
