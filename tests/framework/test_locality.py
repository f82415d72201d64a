"""fairlead.locality: what a process keeps for itself."""

from __future__ import annotations

import pytest

from fairlead import locality
from fairlead.locality import local_state, note_local


def test_what_is_kept_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores note what they keep and what would share it; many of a kind are one entry, in the order of their names."""
    monkeypatch.setattr(locality, "_remedies", {})
    for what, shared in (("sessions", "Redis"), ("channels", "Redis"), ("sessions", "Redis")):
        note_local(what, shared)
    assert list(local_state().items()) == [("channels", "Redis"), ("sessions", "Redis")]
