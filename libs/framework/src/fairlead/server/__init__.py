"""The server: sockets in, requests out, responses back. It knows an application only as `Application`."""

from fairlead.server.application import Application
from fairlead.server.server import Server

__all__ = ["Application", "Server"]
