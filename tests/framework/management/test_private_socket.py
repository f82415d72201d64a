"""The unix socket for commands: its place, its permissions, what was left behind."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from fairlead.management.private_socket import SocketError, close_private_socket, open_private_socket, socket_path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A place in a folder that does not exist yet."""
    return tmp_path / "private" / "9000.sock"


def test_where_it_lies(tmp_path: Path) -> None:
    """The named place, else the user's runtime folder, else one of the user's own for temporary files."""
    assert socket_path(9000, "/run/shop.sock") == Path("/run/shop.sock")
    assert socket_path(9000, environ={"XDG_RUNTIME_DIR": "/run/user/7"}) == Path("/run/user/7/fairlead/9000.sock")
    assert socket_path(9000, environ={}).parent.name == f"fairlead-{os.getuid()}"


def test_it_is_private(path: Path) -> None:
    """Mode 0600 in a folder of mode 0700; gone with its listener."""
    listener = open_private_socket(path, make_folder=True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    close_private_socket(listener)
    assert not path.exists()


def test_what_a_dead_process_left_is_removed(path: Path) -> None:
    """A supervisor that was killed can't tidy up."""
    open_private_socket(path, make_folder=True).close()
    close_private_socket(open_private_socket(path, make_folder=True))


def test_one_in_use_is_left_alone(path: Path) -> None:
    """Two services with one management port can't be told apart."""
    first = open_private_socket(path, make_folder=True)
    with pytest.raises(SocketError, match="in use by another process"):
        open_private_socket(path, make_folder=True)
    close_private_socket(first)


def test_a_file_is_no_socket(tmp_path: Path) -> None:
    """What is somebody's file is not removed."""
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(SocketError):
        open_private_socket(tmp_path / "notes", make_folder=False)
    assert (tmp_path / "notes").read_text() == "mine"


def test_a_folder_that_others_may_enter(path: Path) -> None:
    """Somebody may have made it before us, to put a socket of theirs in our place."""
    path.parent.mkdir(mode=0o755)
    path.parent.chmod(0o755)
    with pytest.raises(SocketError, match="not a private folder"):
        open_private_socket(path, make_folder=True)


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    """The kernel takes 107 bytes; the complaint is ours."""
    with pytest.raises(SocketError, match="too long"):
        open_private_socket(tmp_path / ("x" * 120), make_folder=False)


def test_closing_twice(path: Path) -> None:
    """A listener of one that was removed by hand."""
    listener = open_private_socket(path, make_folder=True)
    path.unlink()
    close_private_socket(listener)
    assert listener.fileno() == -1
    assert isinstance(listener, socket.socket)
