"""Importing gpupack is cheap and has no heavy dependencies."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gpupack
from gpupack import errors

HEAVY = ("ortools", "numpy", "pandas", "pydantic", "matplotlib", "tritonclient")


def test_importing_gpupack_imports_no_heavy_dependency() -> None:
    code = (
        "import sys, gpupack; "
        f"print([name for name in {(*HEAVY, 'pynvml')!r} if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_every_public_name_resolves_and_the_list_is_sorted() -> None:
    assert list(gpupack.__all__) == sorted(gpupack.__all__)
    for name in gpupack.__all__:
        assert getattr(gpupack, name).__name__ == name


def test_type_checkers_see_the_names_that_resolve() -> None:
    """The list is a stub: its imports are what loads, its ``__all__`` what is typed."""
    stub = Path(gpupack.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    body = ast.parse(stub).body

    imported = [
        alias.name
        for one in body
        if isinstance(one, ast.ImportFrom)
        for alias in one.names
    ]
    (listed,) = (
        ast.literal_eval(one.value)
        for one in body
        if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name)
    )
    assert sorted(imported) == listed == list(gpupack.__all__)
    assert set(gpupack.__all__) <= set(dir(gpupack))


def test_every_error_is_public() -> None:
    raised = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.GpupackError)
    }

    assert raised <= set(gpupack.__all__)


def test_what_is_no_public_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError):
        gpupack.plaice  # type: ignore[attr-defined]  # noqa: B018


def test_a_small_placement_loads_no_compiled_code() -> None:
    code = (
        "import sys, gpupack; gpupack.place(gpupack.load_example('medical')); "
        "print('gpupack.packing.kernels.library' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "False"
