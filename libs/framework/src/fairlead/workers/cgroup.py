"""How many workers this machine, container or pod can carry (mission K6).

How this works. The first of these that gives an answer decides:

1. an explicit number (`WORKERS`, `--workers`, `app.run(workers=…)`);
2. the CPU quota of the control group, rounded up, bounded by the CPUs that the scheduler may use for us and by the
   memory limit;
3. one.

`fast` (Sanic's name) asks for every CPU that the process really has: the affinity, bounded by quota and memory.

A quota is inherited: the tightest on the way from our group up to the root of the mount counts. Where the files lie
follows from `/proc/self/mountinfo`, which knows the mount points of version 1, version 2 and of the mixture of both
(version 2 mounted beside version 1, without controllers), and from `/proc/self/cgroup`, which knows our group.

Rejected: `os.cpu_count()`, which counts the node's CPUs and makes 64 workers in a pod that may use half of one; all
CPUs as the default without a quota, which does the same to a pod that has none; the usual paths of the mounts, which
are wrong under a nested container runtime.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

__all__ = ["WORKER_MEMORY_BYTES", "WorkerCount", "count_workers", "cpu_quota", "memory_limit_bytes", "oom_kills"]

MIB = 1024 * 1024

WORKER_MEMORY_BYTES = 128 * MIB
"""What one worker is reckoned at: about 70 MiB for a service with its clients loaded, the rest for its work."""

_UNLIMITED_BYTES = 1 << 60
"""Version 1 says "no limit" with the largest page-aligned number; no machine has an exbibyte."""


@dataclass(frozen=True, slots=True)
class WorkerCount:
    """A number of workers and the reason for it, ready for the banner."""

    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Mount:
    """A mounted cgroup hierarchy: where, which part of the hierarchy, and its controllers (none for version 2)."""

    point: Path
    root: PurePosixPath
    controllers: frozenset[str]


def count_workers(
    explicit: int | None = None,
    *,
    fast: bool = False,
    root: Path = Path("/"),
    usable_cpus: int | None = None,
) -> WorkerCount:
    """Decide on the number of workers.

    `root` is where `/proc` and `/sys` are looked for, `usable_cpus` replaces the scheduler's affinity; tests set both.
    The result is at least 1.
    """
    if explicit:
        return WorkerCount(explicit, "set explicitly")
    quota = cpu_quota(root)
    if quota is None and not fast:
        return WorkerCount(1, "no CPU quota")
    usable = _usable_cpus() if usable_cpus is None else usable_cpus
    count, reason = usable, f"{usable} usable CPU{'s' * (usable != 1)}"
    if quota is not None:
        wanted = math.ceil(quota)
        bounded = wanted > usable
        count = min(wanted, usable)
        reason = f"CPU quota {quota:g}" + (f", bounded by {reason}" if bounded else "")
    return _bounded_by_memory(max(count, 1), reason, memory_limit_bytes(root))


def cpu_quota(root: Path = Path("/")) -> float | None:
    """CPUs that the control group may use (1.5 is one and a half), None when nothing limits it."""
    quotas = [quota for group in _groups(root, "cpu") if (quota := _group_quota(group)) is not None]
    return min(quotas, default=None)


def memory_limit_bytes(root: Path = Path("/")) -> int | None:
    """The tightest memory limit of the control group, None when nothing limits it."""
    limits = []
    for group in _groups(root, "memory"):
        text = _read(group / "memory.max") or _read(group / "memory.limit_in_bytes")
        if text.isdigit() and int(text) < _UNLIMITED_BYTES:
            limits.append(int(text))
    return min(limits, default=None)


def oom_kills(root: Path = Path("/")) -> int:
    """How many processes of the control group the kernel has killed for want of memory; 0 when it is not to be told."""
    for group in _groups(root, "memory"):
        counters = _read(group / "memory.events") or _read(group / "memory.oom_control")
        if found := re.search(r"^oom_kill (\d+)$", counters, re.MULTILINE):
            return int(found[1])
    return 0


def _usable_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _bounded_by_memory(count: int, reason: str, limit_bytes: int | None) -> WorkerCount:
    if limit_bytes is None:
        return WorkerCount(count, reason)
    fitting = max(limit_bytes // WORKER_MEMORY_BYTES, 1)
    if fitting >= count:
        return WorkerCount(count, reason)
    return WorkerCount(fitting, f"{reason}, bounded by {limit_bytes // MIB} MiB of memory")


def _group_quota(group: Path) -> float | None:
    """The quota that one group sets itself: `cpu.max` (version 2) or the `cpu.cfs_…` pair (version 1)."""
    quota, _, period = _read(group / "cpu.max").partition(" ")
    if not quota:
        quota, period = _read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us")
    if not quota.isdigit() or not period.isdigit() or int(quota) == 0 or int(period) == 0:  # "max", "-1", absent
        return None
    return int(quota) / int(period)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Our group's directory for a controller, then each directory above it, up to the mount point."""
    mount = _mount_of(root, controller)
    if mount is None:
        return
    path = _path_of(root, controller if mount.controllers else "")
    try:
        below = path.relative_to(mount.root)
    except ValueError:  # our group lies outside of what is mounted here: all that we can see is the mount itself
        below = PurePosixPath()
    if ".." in below.parts:
        below = PurePosixPath()
    group = mount.point / below
    while True:
        yield group
        if group == mount.point:
            return
        group = group.parent


def _mount_of(root: Path, controller: str) -> _Mount | None:
    """The hierarchy that has the controller: its version 1 mount if there is one, else version 2."""
    unified = None
    for mount in _mounts(root):
        if controller in mount.controllers:
            return mount
        if not mount.controllers:
            unified = unified or mount
    return unified


def _mounts(root: Path) -> Iterator[_Mount]:
    """The cgroup lines of mountinfo (proc_pid_mountinfo(5)): `… root point options … - type source super-options`."""
    for line in _read(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, *super_fields) = before.split(), after.split() or [""]
        if kind not in ("cgroup", "cgroup2") or len(fields) < 5:
            continue
        point = root / _unescaped(fields[4]).lstrip("/")
        controllers = frozenset(super_fields[-1].split(",")) if kind == "cgroup" else frozenset[str]()
        yield _Mount(point, PurePosixPath(_unescaped(fields[3])), controllers)


def _path_of(root: Path, controller: str) -> PurePosixPath:
    """Our group in the hierarchy of a controller; "" is version 2 (cgroups(7): `hierarchy:controllers:path`)."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(","):
            return PurePosixPath(path)
    return PurePosixPath("/")


def _unescaped(field: str) -> str:
    """mountinfo writes blanks and backslashes as octal escapes."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _read(path: Path) -> str:
    """The text of a kernel file; "" when it is not there or not for us to read."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
