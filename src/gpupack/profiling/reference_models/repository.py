"""The reference models, and the model repository that serves them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

_SERVED = Path(__file__).parent / "served"
_CONFIG = """\
name: "{name}"
backend: "python"
max_batch_size: 1
input [ {{ name: "INPUT" data_type: TYPE_FP32 dims: [ 16 ] }} ]
output [ {{ name: "OUTPUT" data_type: TYPE_FP32 dims: [ 16 ] }} ]
instance_group [ {{ count: 1 kind: KIND_CPU }} ]
parameters {{ key: "device" value {{ string_value: "{device}" }} }}
parameters {{ key: "program" value {{ string_value: "{program}" }} }}
parameters {{ key: "kernel_us" value {{ string_value: "{kernel_us:g}" }} }}
parameters {{ key: "gpu_ms" value {{ string_value: "{gpu_ms:g}" }} }}
parameters {{ key: "host_ms" value {{ string_value: "{host_ms:g}" }} }}
parameters {{ key: "fill" value {{ string_value: "{fill:g}" }} }}
"""


@dataclass(frozen=True)
class ReferenceModel:
    """One model: what its requests do to a GPU.

    Attributes:
        name: As served.
        program: ``compute`` (arithmetic in registers), ``copy`` (memory traffic), or a
            network: ``perceptron`` (dense layers), ``convolution`` (3×3 convolutions).
        gpu_ms: GPU time of a request alone, about; so many kernels are launched.
        kernel_us: Length of one kernel alone, for ``compute``; else as it comes.
        host_ms: Time that a request spends elsewhere, on average.
        fill: Share of the GPU's multiprocessors that a kernel fills, for ``compute``.
    """

    name: str
    program: str
    gpu_ms: float
    kernel_us: float = 0.0
    host_ms: float = 0.0
    fill: float = 1.0

    def config(self, *, on_gpu: bool) -> str:
        """Return the text of ``config.pbtxt``.

        To Triton it is a model of the CPU either way: it talks to the GPU itself.
        """
        return _CONFIG.format(
            name=self.name,
            device="gpu" if on_gpu else "host",
            program=self.program,
            kernel_us=self.kernel_us,
            gpu_ms=self.gpu_ms,
            host_ms=self.host_ms,
            fill=self.fill,
        )


REFERENCE_MODELS = (
    ReferenceModel("reference_short", "compute", 1.5, 12.0, host_ms=0.5, fill=0.5),
    ReferenceModel("reference_long", "compute", 4.0, 800.0, host_ms=1.0),
    ReferenceModel("reference_copy", "copy", 2.0, host_ms=0.5),
    ReferenceModel("reference_light", "compute", 0.5, 25.0, host_ms=2.5),
    ReferenceModel("reference_seldom", "compute", 0.8, 100.0, host_ms=6.0),
    ReferenceModel("reference_perceptron", "perceptron", 2.0, host_ms=0.5),
    ReferenceModel("reference_convolution", "convolution", 3.0, host_ms=1.0),
)
"""Short and long kernels, memory traffic, two that seldom use the GPU, and a network of
each kind: what sharing a GPU costs depends on these."""


def write_reference_models(folder: Path, *, on_gpu: bool) -> tuple[str, ...]:
    """Write a model repository with the reference models; return their names.

    Args:
        folder: Is made where it does not exist.
        on_gpu: Else they compute on the host, sized alike.
    """
    for one in REFERENCE_MODELS:
        version = folder / one.name / "1"
        version.mkdir(parents=True, exist_ok=True)
        config = one.config(on_gpu=on_gpu)
        (folder / one.name / "config.pbtxt").write_text(config, encoding="utf-8")
        shutil.copy(_SERVED / "reference_model.py", version / "model.py")
        shutil.copy(_SERVED / "gpu_program.py", version / "gpu_program.py")
    return tuple(one.name for one in REFERENCE_MODELS)
