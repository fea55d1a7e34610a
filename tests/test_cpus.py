"""How many cores a process may use, by affinity and by control groups."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from gpupack import cpus
from gpupack.cpus import count_usable_cpus

if TYPE_CHECKING:
    from pathlib import Path


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def host_of_128(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpus.os, "cpu_count", lambda: 128)
    monkeypatch.setattr(cpus.os, "sched_getaffinity", lambda _: set(range(128)))


V2_HERE = {"proc/self/cgroup": "0::/\n"}
V2_BELOW = {"proc/self/cgroup": "0::/kubepods/pod1/box\n"}
V1 = {"proc/self/cgroup": "5:memory:/docker/1\n4:cpu,cpuacct:/docker/1\n"}
CPU = "sys/fs/cgroup/cpu,cpuacct"


@pytest.mark.usefixtures("host_of_128")
@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 128),
        (V2_HERE, 128),
        (V2_HERE | {"sys/fs/cgroup/cpu.max": "max 100000\n"}, 128),
        (V2_HERE | {"sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        (V2_HERE | {"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2),  # 1.5 cores
        (V2_HERE | {"sys/fs/cgroup/cpu.max": "10000 100000\n"}, 1),  # a tenth of one
        (V2_HERE | {"sys/fs/cgroup/cpu.max": "25600000 100000\n"}, 128),  # 256 cores
        (V2_HERE | {"sys/fs/cgroup/cpu.max": "nonsense\n"}, 128),
        # The narrowest of the group and those it is in.
        (
            V2_BELOW
            | {
                "sys/fs/cgroup/kubepods/cpu.max": "800000 100000\n",
                "sys/fs/cgroup/kubepods/pod1/cpu.max": "300000 100000\n",
                "sys/fs/cgroup/kubepods/pod1/box/cpu.max": "max 100000\n",
            },
            3,
        ),
        (
            V1
            | {
                f"{CPU}/docker/1/cpu.cfs_quota_us": "400000\n",
                f"{CPU}/docker/1/cpu.cfs_period_us": "100000\n",
            },
            4,
        ),
        # Inside the container its own group is mounted as the root.
        (
            V1
            | {
                f"{CPU}/cpu.cfs_quota_us": "200000\n",
                f"{CPU}/cpu.cfs_period_us": "100000\n",
            },
            2,
        ),
        (
            V1
            | {
                f"{CPU}/cpu.cfs_quota_us": "-1\n",
                f"{CPU}/cpu.cfs_period_us": "100000\n",
            },
            128,
        ),
    ],
)
def test_the_quota_of_a_container_counts(
    tmp_path: Path, files: dict[str, str], cores: int
) -> None:
    assert count_usable_cpus(root=write(tmp_path, files)) == cores


def test_the_affinity_counts_where_there_is_no_quota(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; "
        "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); "
        "from gpupack.cpus import count_usable_cpus; "
        "print(count_usable_cpus(root=Path(sys.argv[1])), count_usable_cpus())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == ["1", "1"]
    assert count_usable_cpus(root=tmp_path) == len(os.sched_getaffinity(0))
