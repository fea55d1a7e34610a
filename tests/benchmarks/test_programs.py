"""That what benchmarks take from gpupack is still there."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize("name", sorted(one.stem for one in FOLDER.glob("*.py")))
def test_a_benchmark_finds_what_it_imports(name: str) -> None:
    import_module(f"benchmarks.{name}")
