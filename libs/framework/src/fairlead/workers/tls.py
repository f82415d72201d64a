"""TLS as it is configured: the `TLS_` keys, and the forms in which Sanic documents `ssl=`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairlead.config import Config
from fairlead.errors import ConfigurationError

if TYPE_CHECKING:
    from fairlead.server.tls import Certificates

__all__ = ["certificates_of", "settings_of"]


def certificates_of(config: Config) -> Certificates | None:
    """The certificates to serve with; None for plain HTTP. Raises `ConfigurationError`."""
    if not (config.TLS_DIRECTORIES or config.TLS_CERT or config.TLS_KEY):
        return None
    from fairlead.server.tls import CertificateFiles, Certificates  # a service without TLS doesn't load it

    files = [CertificateFiles.in_directory(Path(directory)) for directory in config.TLS_DIRECTORIES]
    if bool(config.TLS_CERT) != bool(config.TLS_KEY):
        raise ConfigurationError("FAIRLEAD_TLS_CERT and FAIRLEAD_TLS_KEY belong together")
    if config.TLS_CERT:
        files.insert(0, CertificateFiles(Path(config.TLS_CERT), Path(config.TLS_KEY), config.TLS_KEY_PASSWORD))
    return Certificates(
        files,
        strict=config.TLS_STRICT_HOST,
        minimum_version=config.TLS_MIN_VERSION,
        protocols=("h2", "http/1.1") if config.HTTP2 else ("http/1.1",),
        check_interval_s=config.TLS_RELOAD_INTERVAL,
    )


def settings_of(ssl: Any) -> dict[str, Any]:
    """Sanic's `ssl=` as configuration: a directory, `{"cert": …, "key": …, "password": …}`, or a list of directories.

    None as the first of a list: clients that ask for no name that is known are refused. Raises TypeError for anything else; an
    `SSLContext` can't be given to workers, nor renewed.
    """
    if isinstance(ssl, (str, Path)):
        return {"TLS_DIRECTORIES": [str(ssl)]}
    if isinstance(ssl, Mapping):
        if not {"cert", "key"} <= set(ssl) <= {"cert", "key", "password"}:
            raise TypeError('ssl={"cert": …, "key": …} may have a password, and nothing else')
        settings = {"TLS_CERT": str(ssl["cert"]), "TLS_KEY": str(ssl["key"])}
        return settings if ssl.get("password") is None else {**settings, "TLS_KEY_PASSWORD": ssl["password"]}
    if isinstance(ssl, (list, tuple)):
        directories = list(ssl)
        strict = directories[:1] == [None]
        if all(isinstance(each, (str, Path)) for each in directories[strict:]):
            return {"TLS_DIRECTORIES": [str(each) for each in directories[strict:]], "TLS_STRICT_HOST": strict}
    raise TypeError("ssl= is a directory, a dictionary of files or a list of directories")
