"""`account_for`: whose rights a server gets."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from fairlead.local import LocalError
from fairlead.local.account import account_for

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs a server as somebody else")


def make_program(folder: Path) -> Path:
    program = folder / "bin" / "server"
    program.parent.mkdir()
    program.write_text("")
    program.chmod(0o755)
    return program


@needs_root
def test_new_data_of_root(folder: Path) -> None:
    """Root starts a server as `nobody`, without any capability where everything is readable."""
    found = account_for(folder / "data", make_program(folder))
    assert found is not None
    assert pwd.getpwnam("nobody").pw_uid == found.uid
    assert not found.is_kept_out
    assert not [option for option in found.options() if "caps" in option]


@needs_root
def test_data_of_somebody(folder: Path) -> None:
    """Data that belongs to a user is served with that user's rights."""
    data = folder / "data"
    data.mkdir()
    entry = next(entry for entry in pwd.getpwall() if entry.pw_uid not in (0, pwd.getpwnam("nobody").pw_uid))
    os.chown(data, entry.pw_uid, entry.pw_gid)
    found = account_for(data, make_program(folder))
    assert found is not None
    assert entry.pw_uid == found.uid


@needs_root
@pytest.mark.parametrize("closed", [".", "bin", "bin/server"])
def test_behind_a_closed_door(folder: Path, closed: str) -> None:
    """Below a directory of mode 0700, as /root is, the server keeps the one capability that opens it."""
    program = make_program(folder)
    (folder / closed).chmod(0o700)
    found = account_for(folder / "data", program)
    assert found is not None
    assert found.is_kept_out
    assert "--ambient-caps=-all,+dac_override" in found.options()


@needs_root
def test_own(folder: Path) -> None:
    """`own` gives a directory and all that is in it to the account."""
    found = account_for(folder / "data", make_program(folder))
    assert found is not None
    inner = folder / "data" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    found.own(folder / "data")
    assert {found.uid} == {path.stat().st_uid for path in (folder / "data", inner, inner / "file")}
    assert folder.stat().st_uid == 0


def test_not_root(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user than root needs no other account."""
    monkeypatch.setattr("os.geteuid", lambda: folder.stat().st_uid or 1)
    assert account_for(folder / "data", make_program(folder)) is None


def test_data_of_another_user(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data that was made as root can't be served by a plain user: one line says what to do."""
    monkeypatch.setattr("os.geteuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(LocalError, match=r"belongs to .*: run as that user"):
        account_for(folder, make_program(folder))


@needs_root
def test_without_setpriv(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root without setpriv(1) is told what to install."""
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(LocalError, match="install setpriv"):
        account_for(folder / "data", make_program(folder))
