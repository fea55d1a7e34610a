"""The repository of the reference models, and what their networks compute."""

from __future__ import annotations

import importlib.util
import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpupack.profiling.reference_models import (
    REFERENCE_MODELS,
    repository,
    write_reference_models,
)

SERVED = Path(repository.__file__).parent / "served"


def served_module(monkeypatch: pytest.MonkeyPatch, name: str) -> Any:
    """Return code that travels into repositories, imported as it is there."""
    backend = types.ModuleType("triton_python_backend_utils")
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", backend)
    monkeypatch.syspath_prepend(str(SERVED))
    spec = importlib.util.spec_from_file_location(name, SERVED / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("on_gpu", "device"), [(True, "gpu"), (False, "host")])
def test_every_model_has_its_configuration_and_all_it_needs(
    tmp_path: Path, on_gpu: bool, device: str
) -> None:
    names = write_reference_models(tmp_path, on_gpu=on_gpu)

    assert names == tuple(one.name for one in REFERENCE_MODELS)
    for name in names:
        config = (tmp_path / name / "config.pbtxt").read_text()
        assert f'name: "{name}"' in config
        assert f'key: "device" value {{ string_value: "{device}" }}' in config
        found = {path.name for path in (tmp_path / name / "1").iterdir()}
        assert found == {"model.py", "gpu_program.py"}


def test_networks_and_synthetic_kernels_are_among_them() -> None:
    programs = {one.program for one in REFERENCE_MODELS}
    assert programs == {"compute", "copy", "perceptron", "convolution"}


def test_the_kernels_that_are_launched_are_those_that_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = served_module(monkeypatch, "gpu_program")
    entries = re.findall(r"\.entry (\w+)\(", program.PTX.decode())
    assert entries == ["compute", "copy", "dense", "convolution"]


def test_a_layer_is_what_its_formula_says(monkeypatch: pytest.MonkeyPatch) -> None:
    model = served_module(monkeypatch, "reference_model")
    weights = model.network_weights("convolution")
    given = model.network_input("convolution")[:, :5, :5].copy()

    found = model.one_layer("convolution", given, weights)

    assert found.shape == given.shape
    inner = given[:, 1:4, 2:5]  # around the pixel at row 1, column 2
    for channel in (0, 7):
        expected = max(0.0, float((weights[channel] * inner).sum()))
        assert found[channel, 2, 3] == pytest.approx(expected, abs=1e-4)
    rows = model.network_input("perceptron")[:2]
    dense = model.network_weights("perceptron")
    layer = model.one_layer("perceptron", rows, dense)
    assert np.allclose(layer, np.maximum(rows @ dense, 0), atol=1e-4)


def test_on_the_host_a_program_computes_as_long_as_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = served_module(monkeypatch, "reference_model")
    moments = iter([0.0, 0.2, 0.4, 0.6, 1.1])
    monkeypatch.setattr(model.time, "thread_time", lambda: next(moments))
    layers = []
    real = model.one_layer
    monkeypatch.setattr(
        model, "one_layer", lambda *given: layers.append(1) or real(*given)
    )
    found = model.HostProgram("perceptron", 1.0).run(np.ones(16, dtype=np.float32))

    assert len(layers) == 4  # until a second had passed
    assert found.shape == (512,)
