"""From a route's name and values to a URL, with the underscore options that Sanic documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from fairlead.errors import URLBuildError
from fairlead.routing.pattern import Parameter, Segment


class Place(Protocol):
    """What is needed of a route."""

    @property
    def segments(self) -> list[Segment]:
        """Of its path."""

    @property
    def hosts(self) -> frozenset[str]:
        """That it answers for; empty for all."""

    @property
    def methods(self) -> frozenset[str]:
        """That it answers."""


def build_url(app_name: str, config: Any, places: Mapping[str, Place], view_name: str, values: dict[str, Any]) -> str:
    """The URL of a route by its name, with or without the application's. Raises `URLBuildError` (500)."""
    if view_name == "static" or view_name.endswith(".static"):
        blueprint, _, _ = view_name.rpartition(".")
        name = values.pop("name", "static")
        view_name = f"{blueprint}.{name}" if blueprint and "." not in name else name
        if "filename" in values:
            values["path"] = str(values.pop("filename")).lstrip("/")
    place = places.get(view_name) or places.get(f"{app_name}.{view_name}")
    if place is None:
        raise URLBuildError(f"there is no route named {view_name!r}")
    anchor, scheme, server = values.pop("_anchor", ""), values.pop("_scheme", ""), values.pop("_server", "")
    host, method = values.pop("_host", ""), values.pop("_method", None)
    external = values.pop("_external", False) or bool(host)
    if scheme and not external:
        raise URLBuildError("_scheme is for external URLs: give _external=True as well")
    if method is not None and method.upper() not in place.methods:
        raise URLBuildError(f"the route {view_name!r} does not answer {method}")
    path = _path(view_name, place, values)
    if values:
        path += "?" + urlencode(values, doseq=True)
    if anchor:
        path += "#" + quote(anchor)
    if not external:
        return path
    server = server or _host(view_name, place, host) or config.SERVER_NAME
    if not server:
        raise URLBuildError("an external URL needs _server or SERVER_NAME")
    if "://" in server:
        return f"{server.rstrip('/')}{path}"
    scheme = scheme or config.URL_SCHEME
    return f"{scheme}://{server}{path}" if scheme else f"//{server}{path}"


def _host(view_name: str, place: Place, host: str) -> str:
    """The host of a route that is for certain hosts only."""
    if host:
        if place.hosts and host.lower() not in place.hosts:
            raise URLBuildError(f"the route {view_name!r} is not for the host {host!r}")
        return host
    if len(place.hosts) > 1:
        raise URLBuildError(f"the route {view_name!r} is for several hosts: choose one with _host")
    return next(iter(place.hosts), "")


def _path(view_name: str, place: Place, values: dict[str, Any]) -> str:
    segments: list[str] = []
    for segment in place.segments:
        if not isinstance(segment, Parameter):
            segments.append(segment.decode())
            continue
        texts: list[str] = []
        for name in segment.names:
            if name not in values:
                raise URLBuildError(f"the route {view_name!r} needs the parameter {name!r}")
            texts.append(str(values.pop(name)))
        text = ".".join(texts)
        try:
            segment.type.convert(text)
        except ValueError:
            raise URLBuildError(f"{text!r} is no {segment.type.label} for the parameter {segment.name!r}") from None
        segments.append(quote(text, safe="/" if segment.type.label == "path" else ""))
    return "/" + "/".join(segments)
