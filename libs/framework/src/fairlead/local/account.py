"""Whose rights an embedded server gets.

PostgreSQL refuses to run as root, and root is what one is in a container, on a build machine or in a rented sandbox. So
a server that root starts runs as somebody else: as the owner of its data when there is some, as `nobody` otherwise.

That account must be able to read the server's program, and it can't when the checkout lies below a closed directory
such as /root (mode 0700). Then, and only then, the program keeps one capability of root's, `dac_override`, which
passes by file modes; its user id stays unprivileged. `no_setuid_fixup` makes access(2) respect the capability too:
PostgreSQL checks its own program with that call, which by default looks at the user id alone.

Rejected: opening the parent directories to everybody, or copying the 70 MB of programs elsewhere (both change things
that nobody asked to change), and a user namespace that hides root's id (not allowed inside most containers).
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from fairlead.local.failure import LocalError

__all__ = ["Account", "account_for"]

NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged user that a server runs as."""

    uid: int
    gid: int
    is_kept_out: bool
    """Whether the modes of files and directories keep it from what it needs."""

    def own(self, path: Path) -> None:
        """Gives `path` and everything below it to this account."""
        for folder, _, files in os.walk(path):
            os.chown(folder, self.uid, self.gid)
            for file in files:
                os.chown(os.path.join(folder, file), self.uid, self.gid, follow_symlinks=False)
        if not path.is_dir():
            os.chown(path, self.uid, self.gid)

    def options(self) -> list[str]:
        """The arguments for setpriv(1) that turn root into this account."""
        become = [f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        if not self.is_kept_out:
            return become
        only = "-all,+dac_override"
        keep = [f"--inh-caps={only}", f"--ambient-caps={only}", f"--bounding-set={only}"]
        return [*become, "--securebits=+no_setuid_fixup", *keep]


def account_for(data: Path, program: Path) -> Account | None:
    """The account for `program`, whose data lies (or will lie) in `data`; None when this process is not root.

    Raises LocalError when the data belongs to somebody else and this process may not become that user.
    """
    owner = data.stat().st_uid if data.exists() else None
    if os.geteuid() != 0:
        if owner not in (None, os.geteuid()):
            raise LocalError(f"{data} belongs to {_name(owner)}: run as that user (or as root), or remove it as root")
        return None
    if shutil.which("setpriv") is None:
        raise LocalError("PostgreSQL does not run as root: run as another user, or install setpriv (util-linux)")
    entry = pwd.getpwuid(owner) if owner and _name(owner) != str(owner) else pwd.getpwnam(NOBODY)
    above = [*program.parents, *data.parent.parents]
    is_open = _has(program, stat.S_IROTH | stat.S_IXOTH) and all(_has(folder, stat.S_IXOTH) for folder in above)
    return Account(entry.pw_uid, entry.pw_gid, is_kept_out=not is_open)


def _has(path: Path, mode: int) -> bool:
    return path.stat().st_mode & mode == mode


def _name(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid or 0).pw_name
    except KeyError:
        return str(uid)
