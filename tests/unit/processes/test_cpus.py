"""How many CPUs there are, by made-up cgroups."""

import os
from pathlib import Path

import pytest

from corsproxy.processes.cpus import usable_cpus

ALLOWED = len(os.sched_getaffinity(0))


def count(tmp_path: Path, membership: str, files: dict[str, str], monkeypatch: pytest.MonkeyPatch, allowed: int = 64) -> int:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(allowed)))
    (tmp_path / "cgroup").write_text(membership)
    for name, content in files.items():
        file = tmp_path / "fs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return usable_cpus(tmp_path / "cgroup", tmp_path / "fs")


def test_without_a_cgroup_the_affinity_counts(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path / "nothing", tmp_path / "nowhere") == ALLOWED


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, 64),
        ({"cpu.max": "6400000000 100000\n"}, 64),
        ({"cpu.max": "nonsense\n"}, 64),
        ({}, 64),
        ({"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3),
        ({"a/b/cpu.max": "500000 100000\n", "a/cpu.max": "300000 100000\n", "cpu.max": "900000 100000\n"}, 3),
    ],
)
def test_version_2(tmp_path: Path, files: dict[str, str], cpus: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert count(tmp_path, "0::/a/b\n", files, monkeypatch) == cpus


@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
@pytest.mark.parametrize(
    ("quota", "cpus"),
    [("250000", 3), ("-1", 64), ("0", 64)],
)
def test_version_1(tmp_path: Path, mount: str, quota: str, cpus: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container the path is often the host's, and only the mount's root is there."""
    membership = "12:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n"
    files = {f"{mount}/cpu.cfs_quota_us": f"{quota}\n", f"{mount}/cpu.cfs_period_us": "100000\n"}
    assert count(tmp_path, membership, files, monkeypatch) == cpus


def test_the_affinity_bounds_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert count(tmp_path, "0::/\n", {"cpu.max": "800000 100000\n"}, monkeypatch, allowed=3) == 3


def test_a_quota_of_memory_is_none_of_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert count(tmp_path, "12:memory:/a\n", {"cpu/a/cpu.cfs_quota_us": "100000", "cpu/a/cpu.cfs_period_us": "100000"}, monkeypatch) == 64
