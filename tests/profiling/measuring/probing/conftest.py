"""A stand-in for the CUDA driver."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.profiling.nvml_standin import compile_standin

SOURCE = Path(__file__).parents[2] / "cuda_standin.c"


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the variables that put the stand-in in the CUDA driver's place."""
    folder = tmp_path_factory.mktemp("cuda")
    compile_standin(folder, source=SOURCE, soname="libcuda.so.1")
    return {"LD_LIBRARY_PATH": str(folder)}
