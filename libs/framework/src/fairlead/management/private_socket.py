"""The unix socket through which a service is operated: where it lies, and who may use it.

Whoever can open the socket may stop the service, so that is for its own user alone: the file has mode 0600 and lies, unless
another place is named (`MANAGEMENT_SOCKET`), in a folder of mode 0700: `$XDG_RUNTIME_DIR/fairlead`, else one named after the
user in the folder for temporary files. Its name is the management port's number, by which `fairlead status` finds it.
Nothing that changes a service can be asked for over TCP, so there is no token to keep.
"""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

__all__ = ["SocketError", "close_private_socket", "open_private_socket", "socket_path"]


class SocketError(Exception):
    """The socket can't be had. The message is one line for the operator."""


def socket_path(port: int, named: str = "", environ: Mapping[str, str] = os.environ) -> Path:
    """Where the socket of the service with this management port is."""
    if named:
        return Path(named)
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    folder = Path(runtime, "fairlead") if runtime else Path(tempfile.gettempdir(), f"fairlead-{os.getuid()}")
    return folder / f"{port}.sock"


def open_private_socket(path: Path, *, make_folder: bool) -> socket.socket:
    """Listen at `path`. What a dead process left there is removed. Raises `SocketError`."""
    try:
        if make_folder:
            _private_folder(path.parent)
        if _is_answered(path):
            raise SocketError(f"{path} is in use by another process")
        return _listening(path)
    except OSError as error:
        raise SocketError(f"cannot listen at {path}: {error.strerror or error}") from error


def close_private_socket(listener: socket.socket) -> None:
    """Close it, and remove its file."""
    path = listener.getsockname()
    listener.close()
    with suppress(OSError):
        os.unlink(path)


def _private_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise SocketError(f"{folder} is not a private folder of this user")


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        try:
            caller.connect(str(path))
        except FileNotFoundError:
            return False
        except ConnectionRefusedError:
            if stat.S_ISSOCK(path.lstat().st_mode):
                path.unlink()
            return False
        return True


def _listening(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(0o177)
    try:
        listener.bind(str(path))
        listener.listen(16)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(previous)
    listener.setblocking(False)
    return listener
