"""README.md and its neighbours: what they promise is true (P9)."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fairlead.local.plan import read_services, with_ports
from fairlead.local.ports import free_port
from fairlead.local.stack import Stack
from fairlead.settings import load_settings
from feed.settings import Settings
from tests.charts.helm import binary

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_links(page: str) -> None:
    """Every link to a file of ours leads to one."""
    targets = re.findall(r"\]\(((?!https?:)[^)#]+)\)", (ROOT / page).read_text())
    assert [] == [target for target in targets if not (ROOT / target).exists()]


@pytest.mark.parametrize("page", PAGES)
def test_make_targets(page: str) -> None:
    """Every `make …` that is named exists."""
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", (ROOT / page).read_text(), re.MULTILINE))
    assert set() == named - targets


def test_one_file_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example app does what the text below it says."""
    (program,) = blocks("README.md", "python")
    (tmp_path / "greeter.py").write_text(program)
    monkeypatch.syspath_prepend(str(tmp_path))
    app = importlib.import_module("greeter").app
    monkeypatch.delitem(sys.modules, "greeter")
    _, response = app.test_client.get("/hello/Ada")
    assert {"hello": "Ada"} == response.json
    _, response = app.test_client.post("/guests", json={"name": "Ada"})
    assert (201, {"welcome": "Ada"}) == (response.status, response.json)
    _, response = app.test_client.post("/guests", json={"nme": "Ada"})
    assert 422 == response.status
    assert "name" in response.text


@pytest.mark.deadline(90)
async def test_api_session(postgres_url: str, redis_url: str, tmp_path: Path) -> None:
    """The shell session against the running services changes a price (C1)."""
    (session,) = [block for block in blocks("README.md", "sh") if "/v1/token" in block]
    services = with_ports(read_services(ROOT), free_port)
    for service, standard in zip(services, read_services(ROOT), strict=True):
        session = session.replace(f"127.0.0.1:{standard.port}", f"127.0.0.1:{service.port}")
    environ = {**os.environ, "DATABASE_URL": postgres_url, "REDIS_URL": redis_url, "FAIRLEAD_WORKERS": "1"}
    async with Stack(services, data=tmp_path, environ=environ):
        shell = await asyncio.create_subprocess_exec(
            *("bash", "-euc", session), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output = (await shell.communicate())[0].decode()
    assert 0 == shell.returncode, output
    assert '"price":{"amount":4200,"currency":"EUR"}' in output


def test_docker_run() -> None:
    """What `docker run` hands over is all that the service asks for."""
    (session,) = [block for block in blocks("README.md", "sh") if "docker run" in block]
    environ = dict(re.findall(r"--env (\w+)=(\S+)", session))
    assert "http://127.0.0.1:8001" == load_settings(Settings, environ).public_auth_url


def test_helm_install() -> None:
    """The chart takes the command line of `helm install`."""
    (session,) = [block for block in blocks("README.md", "sh") if "helm install" in block]
    (command,) = re.findall(r"^helm install (.*)", session, re.MULTILINE)
    rendered = subprocess.run([binary(3), "template", *shlex.split(command)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert 0 == rendered.returncode, rendered.stderr
    assert "fairlead/feed:26.11.0" in rendered.stdout
