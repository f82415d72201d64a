"""Signing keys on disk, and the command that makes one."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from auth import keygen
from auth.signing import load_keys, write_new_key
from fairlead.auth import SigningKey
from fairlead.errors import ConfigurationError


def test_key_is_for_its_owner_only(tmp_path: Path) -> None:
    """0600 from the first moment, and no other file is left behind."""
    path = tmp_path / "key.pem"
    key = write_new_key(path)
    assert key.kid == SigningKey.load(path).kid
    assert 0o600 == path.stat().st_mode & 0o777
    assert [path] == list(tmp_path.iterdir())


def test_key_is_never_overwritten(tmp_path: Path) -> None:
    """Twenty at once make one key; the others fail and leave nothing behind."""
    path = tmp_path / "key.pem"

    def attempt(_: int) -> str | None:
        try:
            return write_new_key(path).kid
        except FileExistsError:
            return None

    with ThreadPoolExecutor(20) as pool:
        kids = [kid for kid in pool.map(attempt, range(20)) if kid is not None]
    assert [SigningKey.load(path).kid] == kids
    assert [path] == list(tmp_path.iterdir())


def test_published_keys(tmp_path: Path) -> None:
    """The signing key comes first, then the others by name; folders and Kubernetes' own entries are passed over."""
    signing, directory = write_new_key(tmp_path / "signing.pem"), tmp_path / "published"
    directory.mkdir()
    second, first = write_new_key(directory / "b.pem"), write_new_key(directory / "a.pem")
    (directory / "..2026_11_20").mkdir()
    (directory / "..data").symlink_to(directory / "..2026_11_20")
    key, keys = load_keys(tmp_path / "signing.pem", directory)
    assert signing.kid == key.kid
    assert [signing.kid, first.kid, second.kid] == [each.kid for each in keys]


def test_bad_published_key_stops_the_start(tmp_path: Path) -> None:
    """K7: a file that is no key is not passed over: somebody meant it to be published."""
    write_new_key(tmp_path / "signing.pem")
    directory = tmp_path / "published"
    directory.mkdir()
    (directory / "note.txt").write_text("previous key")
    with pytest.raises(ConfigurationError, match=r"note\.txt"):
        load_keys(tmp_path / "signing.pem", directory)


def test_command(tmp_path: Path) -> None:
    """`python -m auth.keygen PATH` prints the key's `kid`; a second time it says why not, and exits with 1."""
    path = tmp_path / "key.pem"
    command = [sys.executable, "-m", "auth.keygen", str(path)]
    first = subprocess.run(command, capture_output=True, text=True, check=False)
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (0, f"{SigningKey.load(path).kid}\n", "") == (first.returncode, first.stdout, first.stderr)
    assert (1, "", f"{path}: File exists\n") == (second.returncode, second.stdout, second.stderr)


def test_command_in_a_folder_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the system refuses is one line."""
    (tmp_path / "file").write_text("")
    assert 1 == keygen.main([str(tmp_path / "file" / "key.pem")])
    assert capsys.readouterr().err.startswith(f"{tmp_path / 'file' / 'key.pem'}: ")
