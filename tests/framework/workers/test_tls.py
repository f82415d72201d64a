"""TLS as an operator configures it: keys, Sanic's `ssl=`, and a service that speaks it."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from fairlead.config import Config
from fairlead.errors import ConfigurationError
from fairlead.workers.configuration import options_from
from fairlead.workers.tls import certificates_of, settings_of
from tests.framework.server.authority import Authority


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("certs", {"TLS_DIRECTORIES": ["certs"]}),
        (Path("certs"), {"TLS_DIRECTORIES": ["certs"]}),
        ({"cert": "c.pem", "key": Path("k.pem")}, {"TLS_CERT": "c.pem", "TLS_KEY": "k.pem"}),
        ({"cert": "c", "key": "k", "password": "p"}, {"TLS_CERT": "c", "TLS_KEY": "k", "TLS_KEY_PASSWORD": "p"}),
        (["a", Path("b")], {"TLS_DIRECTORIES": ["a", "b"], "TLS_STRICT_HOST": False}),
        ((None, "a"), {"TLS_DIRECTORIES": ["a"], "TLS_STRICT_HOST": True}),
    ],
)
def test_forms_of_ssl(given: Any, expected: dict[str, Any]) -> None:
    """S: what Sanic documents for `app.run(ssl=…)`."""
    assert settings_of(given) == expected
    assert options_from({"ssl": given, "port": 1}) == {**expected, "PORT": 1}


@pytest.mark.parametrize("given", [1, {"cert": "c"}, {"cert": "c", "key": "k", "names": []}, ["a", None], [1]])
def test_what_is_none_of_them(given: Any) -> None:
    """Anything else is a TypeError, not a service without TLS."""
    with pytest.raises(TypeError, match="ssl="):
        settings_of(given)


def test_configuration(tmp_path: Path) -> None:
    """No key: plain HTTP. One of two keys, or a folder without files: one line."""
    Authority().issue(tmp_path / "shop", "shop.example")
    pair = {"TLS_CERT": str(tmp_path / "shop" / "fullchain.pem"), "TLS_KEY": str(tmp_path / "shop" / "privkey.pem")}
    assert certificates_of(Config()) is None
    assert certificates_of(Config(pair)) is not None
    assert certificates_of(Config({**pair, "TLS_DIRECTORIES": str(tmp_path / "shop"), "TLS_MIN_VERSION": "1.3"})) is not None
    for wrong, message in (
        ({"TLS_CERT": pair["TLS_CERT"]}, "belong together"),
        ({"TLS_KEY": pair["TLS_KEY"]}, "belong together"),
        ({"TLS_DIRECTORIES": [tmp_path]}, "holds neither"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            certificates_of(Config(wrong))
    with pytest.raises(ConfigurationError, match="none of"):
        Config({"TLS_MIN_VERSION": "1.1"})
    assert "secret" not in repr(Config({"TLS_KEY_PASSWORD": "secret"}))


@pytest.mark.parametrize("mode", ["--single-process", "--workers=1"])
async def test_service_over_tls(start: Any, tmp_path: Path, mode: str) -> None:
    """`fairlead serve --tls-cert --tls-key` speaks TLS on the traffic port; probes stay plain."""
    authority = Authority()
    authority.issue(tmp_path / "tls", "localhost")
    pair = f"--tls-cert={tmp_path / 'tls' / 'fullchain.pem'}", f"--tls-key={tmp_path / 'tls' / 'privkey.pem'}"
    service = await (await start(mode, *pair)).ready()
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port(), ssl=authority.client(), server_hostname="localhost")
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert (await reader.read()).endswith(b"hello")
    writer.close()
    assert await service.probe("/readyz") == (200, "ok\n")
    service.signal(signal.SIGTERM)
    assert await service.exit_status() == 0


@pytest.mark.parametrize("mode", ["--single-process", "--workers=1"])
async def test_service_without_its_files(start: Any, tmp_path: Path, mode: str) -> None:
    """K7: a folder without a certificate is one line and exit status 2."""
    service = await start(mode, f"--tls={tmp_path}")
    assert await service.exit_status() == 2
    assert f"TLS: {tmp_path} holds neither" in service.stderr
