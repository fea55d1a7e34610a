"""The circumstances of a benchmark run: what can change its numbers."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import gpupack
from gpupack.cpus import count_usable_cpus
from gpupack.records.environment import Environment

LIBRARIES = ("numpy", "ortools", "pyvpsolver")


def benchmark_environment(*, seed: int, notes: tuple[str, ...] = ()) -> Environment:
    """Describe this machine, this commit and the libraries in use."""
    load = ", ".join(f"{average:.2f}" for average in os.getloadavg())
    return Environment(
        source="gpupack benchmarks",
        measured_at=datetime.now(tz=UTC),
        gpupack_version=gpupack.__version__,
        commit=_commit(),
        cpu_name=_cpu_name(),
        num_cpus=count_usable_cpus(),
        operating_system=_operating_system(),
        python_version=platform.python_version(),
        libraries={
            name: found for name in LIBRARIES if (found := _version(name)) is not None
        },
        seed=seed,
        notes=(f"load average at the start: {load}", *notes),
    )


def _operating_system() -> str:
    """Return system, kernel version without a local build's suffix, machine, libc."""
    kernel = platform.release().partition("-")[0]
    libc = "".join(platform.libc_ver())
    return f"{platform.system()}-{kernel}-{platform.machine()}-with-{libc}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(
            command,
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _cpu_name() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or None
    for line in lines:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or None
