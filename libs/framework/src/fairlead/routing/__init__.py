"""From a method and a path to a route, and from a route's name back to a path."""

from fairlead.routing.route import Route
from fairlead.routing.router import RouteExists, Router

__all__ = ["Route", "RouteExists", "Router"]
