"""The loggers, under the names that Sanic has them by. For an application's own lines use `logging.getLogger("shop")` just as well.

How records look is the business of `fairlead.telemetry.logging`; each carries the id of the request in which it was written.
"""

from __future__ import annotations

import logging

__all__ = ["access_logger", "error_logger", "logger", "server_logger", "websockets_logger"]

logger = logging.getLogger("fairlead.app")
error_logger = logging.getLogger("fairlead.dispatch")
access_logger = logging.getLogger("fairlead.access")
server_logger = logging.getLogger("fairlead.server")
websockets_logger = logging.getLogger("fairlead.websocket")
