"""What pages are told, as JSON texts. Each is made once, however many pages there are.

- ``{"type": "product.created|changed|deleted", "id": "<stream id>", "product": {…}}``: a change of the catalogue. `id`
  is what a page resumes from.
- ``{"type": "viewers", "count": n}``: how many pages are open. Sent on every change, right after connecting, and now
  and then, so that a page can tell a quiet feed from a dead connection.
- ``{"type": "stream", "state": "stale"}``: the feed has lost touch with the catalogue; ``"live"``: it is back, and what
  was missed has been or is being sent; ``"gap"``: something was missed for good, load the products anew.

A page leaves out types that it does not know.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from fairlead.channels import Entry

__all__ = ["GAP", "LIVE", "STALE", "change", "viewers"]

EVENTS: Final = frozenset({"product.created", "product.changed", "product.deleted"})

State = Literal["live", "stale", "gap"]


def change(entry: Entry) -> str | None:
    """The message for an entry of the catalogue's stream; None for an event that pages know nothing of.

    Raises KeyError or ValueError for an entry that is none of the catalogue's.
    """
    event = entry.fields["event"]
    if event not in EVENTS:
        return None
    product = msgspec.json.decode(entry.fields["product"], type=dict[str, Any])
    return _text({"type": event, "id": str(entry.position), "product": product})


def viewers(count: int) -> str:
    """The message for a number of open pages."""
    return _text({"type": "viewers", "count": count})


def _stream(state: State) -> str:
    return _text({"type": "stream", "state": state})


def _text(message: dict[str, Any]) -> str:
    return msgspec.json.encode(message).decode()


GAP: Final = _stream("gap")
LIVE: Final = _stream("live")
STALE: Final = _stream("stale")
