"""The stand-in for NVIDIA's NVML library: compiled once, steered from tests."""

from __future__ import annotations

import _ctypes
import ctypes
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pynvml
import pytest

SOURCE = Path(__file__).with_name("nvml_standin.c")
SONAME = "libnvidia-ml.so.1"
SYSTEM = -1
MIB = 1024 * 1024


def quiet_gpu(**numbers: int) -> dict[str, int]:
    """Return what the stand-in tells of a quiet 80-GiB GPU, but for some numbers."""
    return {
        "memory_total": 81920 * MIB,
        "memory_used": 700 * MIB,
        "gpu_utilization": 3,
        "memory_utilization": 1,
        "power_mw": 90_000,
        "num_processes": 0,
        "mig": 0,
    } | numbers


def compile_standin(
    folder: Path, *, source: Path = SOURCE, soname: str = SONAME
) -> Path:
    """Compile a stand-in into ``folder``; skip where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip(f"no C compiler to build the stand-in for {soname}")
    library = folder / soname
    subprocess.run(
        [
            *(compiler, "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"),
            *(f"-Wl,-soname,{soname}", "-o", str(library), str(source)),
        ],
        check=True,
    )
    return library


class Standin:
    """The numbers and errors that the stand-in answers with."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        library.standin_set.argtypes = [
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_longlong,
        ]
        library.standin_fail.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
        library.standin_get.argtypes = [ctypes.c_int, ctypes.c_char_p]
        library.standin_get.restype = ctypes.c_longlong

    def set(self, device: int = SYSTEM, **values: int) -> None:
        for key, value in values.items():
            self._library.standin_set(device, key.encode(), value)

    def fail(self, device: int, key: str, error: int) -> None:
        self._library.standin_fail(device, key.encode(), error)

    def get(self, device: int, key: str) -> int:
        return int(self._library.standin_get(device, key.encode()))

    def add_gpu(self, index: int, **values: int) -> None:
        """Add a GPU of 80 GiB that can be read in every way."""
        self.set(count=max(index + 1, self.get(SYSTEM, "count")))
        defaults = {
            "memory_total": 81920 * MIB,
            "memory_used": 500 * MIB,
            "gpu_utilization": 0,
            "memory_utilization": 0,
            "power_mw": 100_000,
            "energy_mj": 0,
            "sm_clock": 1980,
            "memory_clock": 2619,
            "num_processes": 0,
            "mig": 0,
            "gpm": 1,
        }
        self.set(index, **(defaults | values))

    def advance_gpm(self, device: int, percent_by_metric: dict[int, int]) -> None:
        """Let one unit of time pass in which each metric had this mean."""
        self.set(device, gpm_count=self.get(device, "gpm_count") + 1)
        for metric, percent in percent_by_metric.items():
            key = f"gpm_sum{metric}"
            self.set(device, **{key: self.get(device, key) + percent})


@contextmanager
def loaded_standin(path: Path) -> Iterator[Standin]:
    """Make pynvml load the stand-in instead of a driver's library, then undo it.

    The loader finds a library that is already loaded by its soname, so pynvml's own
    ``CDLL("libnvidia-ml.so.1")`` returns this one.
    """
    library = ctypes.CDLL(str(path))
    library.standin_clear()
    saved = pynvml.nvmlLib
    pynvml.nvmlLib = None
    pynvml._nvmlGetFunctionPointer_cache.clear()
    try:
        pynvml.nvmlInit()
        if pynvml.nvmlLib._handle != library._handle:
            pytest.skip("the driver's own NVML is already loaded into this process")
        yield Standin(library)
    finally:
        library.standin_clear()
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()
        loaded, pynvml.nvmlLib = pynvml.nvmlLib, saved
        pynvml._nvmlGetFunctionPointer_cache.clear()
        for handle in {id(loaded): loaded, id(library): library}.values():
            if handle is not None:
                _ctypes.dlclose(handle._handle)
