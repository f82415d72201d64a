"""A certificate authority of the test's own: what it issues, a client that trusts it believes."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PEM = serialization.Encoding.PEM


class Authority:
    """Issues certificates into folders."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("a test's authority")
        self._certificate = self._sign(self._name, self._key.public_key(), x509.BasicConstraints(ca=True, path_length=0))

    def issue(self, folder: Path, *names: str, pair: tuple[str, str] = ("fullchain.pem", "privkey.pem"), password: str = "") -> int:
        """Write a new certificate for `names` and its key; returns its serial number."""
        key = ec.generate_private_key(ec.SECP256R1())
        extension = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        certificate = self._sign(_name("a test's server"), key.public_key(), extension)
        how = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
        folder.mkdir(exist_ok=True)
        (folder / pair[0]).write_bytes(certificate.public_bytes(PEM))
        (folder / pair[1]).write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, how))
        return certificate.serial_number

    def client(self) -> ssl.SSLContext:
        """What a client needs to believe."""
        return ssl.create_default_context(cadata=self._certificate.public_bytes(PEM).decode())

    def _sign(self, name: x509.Name, key: ec.EllipticCurvePublicKey, extension: x509.ExtensionType) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        serial, end = x509.random_serial_number(), now + datetime.timedelta(days=1)
        builder = x509.CertificateBuilder(self._name, name, key, serial, now, end).add_extension(extension, critical=True)
        own = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        subject = x509.SubjectKeyIdentifier.from_public_key(key)
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        for further in (own, subject, *([usage] if isinstance(extension, x509.BasicConstraints) else [])):
            builder = builder.add_extension(further, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
