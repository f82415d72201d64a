"""`Decompression`: bodies that clients send compressed, decoded before the handler sees them.

Off unless installed, because it lets a few bytes become many: whatever they claim to be, no more than the route's limit (its
`max_body_bytes`, else `REQUEST_MAX_SIZE`) is ever made of them. Decoding happens in a thread.

415 for a coding that isn't known, or more than one on top of each other, with `Accept-Encoding` saying which are (RFC 9110
§15.5.16); 400 for a malformed body; 413 for one that is too long. Streaming routes take no compressed bodies: 415.
"""

from __future__ import annotations

import asyncio
from typing import Any

from fairlead.compression.codec import available_codings, decode
from fairlead.errors import UnsupportedMediaType
from fairlead.extension import Extension
from fairlead.http.coding import IDENTITY
from fairlead.request import Request
from fairlead.types import Middleware

__all__ = ["Decompression"]


class Decompression(Extension):
    """Take compressed request bodies, on an app, a blueprint or a route."""

    order = 650

    def middleware(self) -> tuple[Middleware, None]:
        """Before whatever reads the body."""
        return self._decompress, None

    async def _decompress(self, request: Request[Any, Any]) -> None:
        coding = ", ".join(request.headers.getall("content-encoding", [])).strip().lower().removeprefix("x-")
        if coding in ("", IDENTITY) or request.route is None or self.spares(request):
            return
        if coding not in available_codings() or request.route.stream:
            accepted = IDENTITY if request.route.stream else ", ".join(available_codings())
            raise UnsupportedMediaType("The body's coding is not supported here", headers={"Accept-Encoding": accepted})
        limit = request.route.max_body_bytes
        if limit is None:
            limit = request.app.config.REQUEST_MAX_SIZE
        decoding = asyncio.get_running_loop().run_in_executor(None, decode, coding, request.body, limit)
        request.body = await decoding
        del request.headers["content-encoding"]
        request.headers["content-length"] = str(len(request.body))
