"""Importing gpupack is cheap and has no heavy dependencies."""

import subprocess
import sys

HEAVY = ("ortools", "pandas", "matplotlib", "tritonclient", "pynvml")


def test_importing_gpupack_imports_no_heavy_dependency() -> None:
    code = (
        "import sys, gpupack; "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_every_public_name_resolves_and_the_list_is_sorted() -> None:
    import gpupack

    assert list(gpupack.__all__) == sorted(gpupack.__all__)
    for name in gpupack.__all__:
        assert getattr(gpupack, name).__name__ == name


def test_a_small_placement_loads_no_compiled_code() -> None:
    code = (
        "import sys, gpupack; gpupack.place(gpupack.load_example('medical')); "
        "print('gpupack.packing.kernels.library' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "False"
