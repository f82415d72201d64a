"""The keys of this service: the one that signs, and those that are published.

Rotation without a refused token, for a cluster where every replica mounts the same secret:

1. put the next key into `published_keys_directory`, restart, and wait until verifiers have fetched it (five minutes);
2. make it the signing key and put the previous one into the directory, restart;
3. take the previous one away when its last token has expired (fifteen minutes), restart.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from fairlead.auth import KeySet, SigningKey
from fairlead.auth.keys import load_public_key
from fairlead.errors import ConfigurationError

__all__ = ["load_keys", "write_new_key"]


def load_keys(signing_key_file: Path, published_keys_directory: Path | None) -> tuple[SigningKey, KeySet]:
    """The signing key, and it with all others in the order of publication. Raises `ConfigurationError`."""
    signing_key = SigningKey.load(signing_key_file)
    others = [load_public_key(file) for file in _files(published_keys_directory)]
    return signing_key, KeySet([signing_key.public, *others])


def write_new_key(path: Path) -> SigningKey:
    """Make a key and write it for the owner only (0600). Raises FileExistsError: a key is never overwritten.

    Of several processes that try at once one succeeds, and nobody ever reads half a key.
    """
    key = SigningKey.generate()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".key-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.to_pem())
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
    return key


def _files(directory: Path | None) -> list[Path]:
    """The files of a mounted Secret; Kubernetes keeps its own entries in names that begin with a dot."""
    if directory is None:
        return []
    try:
        return sorted(file for file in directory.iterdir() if not file.name.startswith(".") and file.is_file())
    except OSError as error:
        raise ConfigurationError(f"{directory}: {error.strerror}") from None
