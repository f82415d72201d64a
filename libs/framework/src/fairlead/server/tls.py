"""The certificates of a server: several for several names, and renewed ones without a restart.

How it works. The server listens with one context, whose only task is to be asked (`sni_callback`) when a client says hello: it then
hands the handshake on to the context of the certificate that fits the name, or refuses it. So what is looked up is what was loaded
last, and a renewal is a new entry in a table: handshakes that are under way and connections that are open keep what they have.

Files are looked at again every so often (certbot and cert-manager just replace them), and when the operator asks for it. A renewal
that can't be loaded, because only one of the two files is there yet or because it is broken, changes nothing but the log, and is
tried again. Rejected: inotify, which sees nothing of the symbolic links by which Kubernetes swaps a mounted secret.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fairlead.errors import ConfigurationError

logger = logging.getLogger("fairlead.server")

MinimumVersion = Literal["1.2", "1.3"]

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_PAIRS = (("fullchain.pem", "privkey.pem"), ("tls.crt", "tls.key"))


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A certificate with its chain, and its key, both in PEM."""

    certificate: Path
    key: Path
    password: str | None = None

    @classmethod
    def in_directory(cls, directory: Path) -> CertificateFiles:
        """`fullchain.pem` and `privkey.pem` (certbot), or `tls.crt` and `tls.key` (Kubernetes). Raises `ConfigurationError`."""
        for certificate, key in _PAIRS:
            if (directory / certificate).exists() and (directory / key).exists():
                return cls(directory / certificate, directory / key)
        raise ConfigurationError(f"TLS: {directory} holds neither {' nor '.join(' and '.join(pair) for pair in _PAIRS)}")


class Certificates:
    """One or more certificates; the first is shown to clients that ask for no name that is known, unless that is `strict`.

    `context` is what a server listens with. Raises `ConfigurationError` for files that can't be loaded.
    """

    def __init__(
        self,
        files: Sequence[CertificateFiles],
        *,
        strict: bool = False,
        minimum_version: MinimumVersion = "1.2",
        protocols: Sequence[str] = ("http/1.1",),
        check_interval_s: float = 60.0,
    ) -> None:
        if not files:
            raise ConfigurationError("TLS: there is no certificate")
        self._strict = strict
        self._minimum_version = minimum_version
        self._protocols = list(protocols)
        self._check_interval_s = check_interval_s
        self._check_at: float | None = None
        self._loaded = [_Loaded(each, self._new_context()) for each in files]
        self.context = self._new_context()
        self._loaded[0].files_into(self.context)  # Python looks for a certificate before it asks for the name
        self.context.sni_callback = self._choose

    def _new_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = _VERSIONS[self._minimum_version]
        context.options |= ssl.OP_NO_RENEGOTIATION  # each would cost us more than the client (CVE-2011-1473)
        context.set_alpn_protocols(self._protocols)
        return context

    def _choose(self, connection: Any, name: str | None, context: ssl.SSLContext) -> int | None:
        """Called in the handshake, with the name that the client asked for. An alert ends it."""
        connection.asked_for = name or ""
        for loaded in self._loaded:
            if name is not None and loaded.fits(name):
                connection.context = loaded.context
                return None
        if self._strict:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        connection.context = self._loaded[0].context
        return None

    def expiries(self) -> dict[str, float]:
        """When each certificate that is loaded expires, as Unix seconds, by the path of its file."""
        return {str(loaded.files.certificate): loaded.expires_at for loaded in self._loaded}

    def sweep(self, now: float) -> None:
        """Look at the files again when it is time to. Called once a second; `now` is the coarse clock's."""
        if not self._check_interval_s:
            return
        if self._check_at is not None and now >= self._check_at:
            self.reload(only_changed=True)
            self._check_at = None
        if self._check_at is None:
            self._check_at = now + self._check_interval_s

    def reload(self, *, only_changed: bool = False) -> int:
        """Load the certificates again; how many were. Those that can't be loaded stay as they are, which is logged."""
        count = 0
        for position, loaded in enumerate(self._loaded):
            if only_changed and not loaded.has_changed():
                continue
            try:
                self._loaded[position] = _Loaded(loaded.files, self._new_context())
            except ConfigurationError as error:
                logger.warning("a renewed certificate can't be loaded: the old one stays", extra={"cause": str(error)})
            else:
                count += 1
                names = sorted(self._loaded[position].names)
                logger.info("certificate loaded", extra={"path": str(loaded.files.certificate), "names": names})
        return count


class _Loaded:
    """A certificate that was loaded, and the state of its files before that."""

    def __init__(self, files: CertificateFiles, context: ssl.SSLContext) -> None:
        self.files = files
        self._state = _state_of(files)
        self.context = context
        self.files_into(context)
        decoded = _decoded(files.certificate)
        self.names = frozenset(value.lower() for kind, value in decoded.get("subjectAltName", ()) if kind == "DNS")
        self.expires_at = ssl.cert_time_to_seconds(decoded["notAfter"])

    def files_into(self, context: ssl.SSLContext) -> None:
        """Load them. Raises `ConfigurationError`; a key that needs a password, and has none, asks nobody for it."""
        files = self.files
        try:
            context.load_cert_chain(files.certificate, files.key, files.password or "")
        except FileNotFoundError:
            missing = [str(path) for path in (files.certificate, files.key) if not path.exists()]
            raise ConfigurationError(f"TLS: there is no {' and no '.join(missing)}") from None
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            cause = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
            raise ConfigurationError(f"TLS: {files.certificate} and {files.key} can't be loaded: {cause}") from None

    def has_changed(self) -> bool:
        """Whether the files are others than those that were loaded."""
        return _state_of(self.files) != self._state

    def fits(self, name: str) -> bool:
        """Whether the certificate is for a host; a wildcard stands for one whole label (RFC 6125 §6.4.3)."""
        name = name.lower()
        return name in self.names or f"*.{name.partition('.')[2]}" in self.names


def _state_of(files: CertificateFiles) -> list[tuple[int, int, int] | None]:
    states: list[tuple[int, int, int] | None] = []
    for path in (files.certificate, files.key):
        try:
            found = path.stat()
        except OSError:
            states.append(None)
        else:
            states.append((found.st_mtime_ns, found.st_size, found.st_ino))
    return states


def _decoded(certificate: Path) -> dict[str, Any]:
    """What it says. The standard library has no public function that reads a certificate of one's own."""
    decoded: dict[str, Any] = ssl._ssl._test_decode_cert(certificate)  # type: ignore[attr-defined]
    return decoded
