"""``python -m auth.keygen PATH``: make the key that signs access tokens.

Writes an Ed25519 private key (PEM, mode 0600) and prints its `kid`. An existing file is left alone, with exit status 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from auth.signing import write_new_key

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, 1 when the file exists or can't be written, 2 for wrong arguments."""
    parser = argparse.ArgumentParser("python -m auth.keygen", description="Make a key that signs access tokens.")
    parser.add_argument("path", type=Path, help="the file to write; must not exist")
    path: Path = parser.parse_args(arguments).path
    try:
        key = write_new_key(path)
    except OSError as error:
        sys.stderr.write(f"{path}: {error.strerror}\n")
        return 1
    sys.stdout.write(f"{key.kid}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
