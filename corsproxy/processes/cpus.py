"""How many CPUs this process may use: what the scheduler and its cgroup allow."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc/self/cgroup")
_CGROUPS: Final = Path("/sys/fs/cgroup")


def usable_cpus(membership: Path = _PROC, cgroups: Path = _CGROUPS) -> int:
    """
    Return how many CPUs can be kept busy: those that the affinity allows, and no more than the quota of any cgroup around.

    A part of a CPU is counted as one, or it would stay unused. Never raises.
    """
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        allowed = os.cpu_count() or 1
    quotas = [quota for directory in _directories(membership, cgroups) if (quota := _quota(directory)) is not None]
    return max(1, min([allowed, *map(math.ceil, quotas)]))


def _directories(membership: Path, cgroups: Path) -> Iterator[Path]:
    """
    Name each directory that may hold a quota: of the cgroup and of those around it.

    In a container the path may be the host's, of which only the end, or nothing, can be seen here.

    Spec: cgroups(7).
    """
    for line in _read(membership).splitlines():
        # `0::/path` in version 2, `4:cpu,cpuacct:/path` in version 1.
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = cgroups / controllers if controllers and (cgroups / controllers).is_dir() else cgroups / "cpu" if controllers else cgroups
        inner = Path(path.lstrip("/"))
        for directory in (inner, *inner.parents):
            yield root / directory


def _quota(directory: Path) -> float | None:
    """Read a quota, in CPUs; None where there is none."""
    quota, _, period = _read(directory / "cpu.max").strip().partition(" ")
    if not quota:
        quota, period = _read(directory / "cpu.cfs_quota_us").strip(), _read(directory / "cpu.cfs_period_us").strip()
    # `max` in version 2 and -1 in version 1 are no quota.
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() and int(quota) and int(period) else None


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
