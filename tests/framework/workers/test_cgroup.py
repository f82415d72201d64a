"""How many workers fit: fixture trees of version 1, version 2, their mixture and nested groups (mission K6)."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairlead.workers.cgroup import WorkerCount, count_workers, cpu_quota, memory_limit_bytes, oom_kills

V2_MOUNT = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
V1_CPU_MOUNT = "34 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
V1_MEMORY_MOUNT = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
V1_SYSTEMD_MOUNT = "36 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n"
HYBRID_MOUNT = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
OTHER_MOUNT = "29 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw,errors=remount-ro\n"

MIB = 1024 * 1024


def tree(root: Path, files: dict[str, str]) -> Path:
    """Write a machine's `/proc` and `/sys` below `root`."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def v2(root: Path, cpu_max: str, memory_max: str = "max\n") -> Path:
    """A container with its own cgroup namespace: the group is the mount's root."""
    return tree(
        root,
        {
            "proc/self/mountinfo": OTHER_MOUNT + V2_MOUNT,
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/cpu.max": cpu_max,
            "sys/fs/cgroup/memory.max": memory_max,
        },
    )


def v1(root: Path, quota: str, period: str = "100000\n", memory: str = "9223372036854771712\n") -> Path:
    """A version 1 container, its mounts beside a version 2 one that has no controllers."""
    return tree(
        root,
        {
            "proc/self/mountinfo": OTHER_MOUNT + V1_SYSTEMD_MOUNT + V1_CPU_MOUNT + V1_MEMORY_MOUNT + HYBRID_MOUNT,
            "proc/self/cgroup": "4:memory:/\n2:cpu,cpuacct:/\n1:name=systemd:/\n0::/\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": quota,
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": period,
            "sys/fs/cgroup/memory/memory.limit_in_bytes": memory,
        },
    )


def test_an_explicit_number_beats_every_limit(tmp_path: Path) -> None:
    """K6: `WORKERS` decides, whatever quota, affinity and memory say."""
    assert count_workers(7, root=v2(tmp_path, "100000 100000", "1048576"), usable_cpus=1) == WorkerCount(7, "set explicitly")


def test_v2_quota_is_rounded_up(tmp_path: Path) -> None:
    """K6: one and a half CPUs of version 2 carry two workers."""
    assert count_workers(root=v2(tmp_path, "150000 100000\n"), usable_cpus=64) == WorkerCount(2, "CPU quota 1.5")


def test_v1_quota_is_rounded_up(tmp_path: Path) -> None:
    """K6: the pair of files of version 1 is read the same way, beside a version 2 mount without controllers."""
    assert count_workers(root=v1(tmp_path, "250000\n"), usable_cpus=64) == WorkerCount(3, "CPU quota 2.5")


def test_half_a_cpu_is_one_worker(tmp_path: Path) -> None:
    """K6: a quota below one CPU still carries one worker."""
    assert count_workers(root=v1(tmp_path, "50000\n"), usable_cpus=64).count == 1


@pytest.mark.parametrize("quota", ["max 100000\n", "", "junk\n", "0 100000\n"])
def test_v2_without_a_quota_is_one_worker(tmp_path: Path, quota: str) -> None:
    """K6: no quota means one worker, not one for each CPU of the node."""
    assert count_workers(root=v2(tmp_path, quota), usable_cpus=64) == WorkerCount(1, "no CPU quota")


def test_v1_without_a_quota_is_one_worker(tmp_path: Path) -> None:
    """K6: -1 is how version 1 says that there is no quota."""
    assert count_workers(root=v1(tmp_path, "-1\n"), usable_cpus=64) == WorkerCount(1, "no CPU quota")


def test_a_machine_without_control_groups_is_one_worker(tmp_path: Path) -> None:
    """K6: neither files nor mounts (another operating system) is no error."""
    assert count_workers(root=tmp_path, usable_cpus=64) == WorkerCount(1, "no CPU quota")


def test_quota_is_bounded_by_affinity(tmp_path: Path) -> None:
    """K6: a quota of eight CPUs on a machine where we may use four."""
    count = count_workers(root=v2(tmp_path, "800000 100000"), usable_cpus=4)
    assert count == WorkerCount(4, "CPU quota 8, bounded by 4 usable CPUs")


def test_quota_is_bounded_by_memory(tmp_path: Path) -> None:
    """K6: four CPUs and 300 MiB: only two workers fit."""
    count = count_workers(root=v2(tmp_path, "400000 100000", str(300 * MIB)), usable_cpus=8)
    assert count == WorkerCount(2, "CPU quota 4, bounded by 300 MiB of memory")


def test_too_little_memory_for_one_is_still_one_worker(tmp_path: Path) -> None:
    """K6: the bound never yields zero workers."""
    assert count_workers(root=v1(tmp_path, "400000\n", memory=str(16 * MIB)), usable_cpus=8).count == 1


def test_fast_takes_every_cpu_that_the_process_really_has(tmp_path: Path) -> None:
    """T10: `fast` without a quota follows the affinity."""
    assert count_workers(fast=True, root=v2(tmp_path, "max 100000"), usable_cpus=6) == WorkerCount(6, "6 usable CPUs")


def test_fast_is_bounded_by_the_quota(tmp_path: Path) -> None:
    """T10, K6: `fast` is not blind to a quota."""
    assert count_workers(fast=True, root=v2(tmp_path, "200000 100000"), usable_cpus=6).count == 2


def test_the_affinity_of_this_process_is_asked_when_none_is_given(tmp_path: Path) -> None:
    """T10: without a stated number the scheduler is asked; there is at least one CPU."""
    assert count_workers(fast=True, root=tmp_path).count >= 1


def test_the_tightest_group_on_the_way_up_counts(tmp_path: Path) -> None:
    """K6: a limit of an outer group holds for the inner ones, whichever of them is tighter."""
    root = tree(
        tmp_path,
        {
            "proc/self/mountinfo": V2_MOUNT,
            "proc/self/cgroup": "0::/kubepods/pod1/container1\n",
            "sys/fs/cgroup/kubepods/cpu.max": "max 100000",
            "sys/fs/cgroup/kubepods/pod1/cpu.max": "200000 100000",
            "sys/fs/cgroup/kubepods/pod1/container1/cpu.max": "400000 100000",
            "sys/fs/cgroup/kubepods/pod1/memory.max": str(512 * MIB),
            "sys/fs/cgroup/kubepods/pod1/container1/memory.max": "max",
        },
    )
    assert (cpu_quota(root), memory_limit_bytes(root)) == (2.0, 512 * MIB)


def test_a_container_in_the_hosts_cgroup_namespace(tmp_path: Path) -> None:
    """K6: there the mount shows only our part of the hierarchy, and our path is the host's."""
    mount = "34 31 0:29 /docker/abc /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
    root = tree(
        tmp_path,
        {
            "proc/self/mountinfo": mount,
            "proc/self/cgroup": "2:cpu:/docker/abc/inner\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/cpu/inner/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/inner/cpu.cfs_period_us": "100000",
        },
    )
    assert cpu_quota(root) == 3.0


@pytest.mark.parametrize("path", ["/elsewhere", "/../../sibling"])
def test_a_group_outside_of_the_mount_is_read_at_the_mount(tmp_path: Path, path: str) -> None:
    """K6: a path that the mount does not hold never leads out of it."""
    root = tree(
        tmp_path,
        {
            "proc/self/mountinfo": V2_MOUNT.replace(" / /sys", " /pod /sys") if path == "/elsewhere" else V2_MOUNT,
            "proc/self/cgroup": f"0::{path}\n",
            "sys/fs/cgroup/cpu.max": "150000 100000",
        },
    )
    assert cpu_quota(root) == 1.5


def test_a_mount_point_with_a_blank(tmp_path: Path) -> None:
    """K6: mountinfo escapes blanks as octal numbers."""
    root = tree(
        tmp_path,
        {
            "proc/self/mountinfo": r"30 23 0:26 / /my\040groups rw - cgroup2 cgroup2 rw",
            "proc/self/cgroup": "0::/",
            "my groups/cpu.max": "100000 50000",
        },
    )
    assert cpu_quota(root) == 2.0


@pytest.mark.parametrize(
    ("files", "kills"),
    [
        ({"memory.events": "low 0\nmax 7\noom 2\noom_kill 2\noom_group_kill 0\n"}, 2),
        ({"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"}, 3),
        ({"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\n"}, 0),
        ({}, 0),
    ],
)
def test_kills_for_want_of_memory_are_counted(tmp_path: Path, files: dict[str, str], kills: int) -> None:
    """K3: that is how the log can tell them from a `kill -9`."""
    fixed = {"proc/self/mountinfo": V2_MOUNT, "proc/self/cgroup": "0::/\n"}
    assert oom_kills(tree(tmp_path, fixed | {f"sys/fs/cgroup/{name}": text for name, text in files.items()})) == kills


def test_this_machine_can_be_asked() -> None:
    """K6: the real files of the machine that runs the tests are understood."""
    assert count_workers().count >= 1
    assert oom_kills() >= 0
