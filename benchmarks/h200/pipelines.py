"""Pipelines that nothing was fitted to: other networks than the zoo's, run eagerly.

Half of what they do is on the host (decoding apart): pictures are resized there, texts
cut into tokens. ``write_pipelines`` makes a Triton model repository of them.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

_CONFIG = """\
name: "{name}"
backend: "python"
max_batch_size: 4
input [ {{ name: "INPUT" data_type: TYPE_UINT8 dims: {dims} }} ]
output [ {{ name: "OUTPUT" data_type: TYPE_FP32 dims: [ {num_outputs} ] }} ]
instance_group [ {{ count: 1 kind: {kind} }} ]
parameters {{ key: "architecture" value {{ string_value: "{architecture}" }} }}
parameters {{ key: "input" value {{ string_value: "{input}" }} }}
parameters {{ key: "size" value {{ string_value: "{size}" }} }}
"""


@dataclass(frozen=True)
class Pipeline:
    """One served pipeline.

    Attributes:
        name: As served.
        architecture: As ``pipeline_networks.build_network`` knows it.
        size: Of the square picture that the network sees, or tokens of a text.
        raw: Height and width of the picture that comes, or bytes of the text.
        num_outputs: Length of the vector of scores.
    """

    name: str
    architecture: str
    size: int
    raw: tuple[int, ...] = (480, 640)
    num_outputs: int = 1000

    def config(self, *, kind: str) -> str:
        """Return the text of ``config.pbtxt``."""
        is_text = len(self.raw) == 1
        return _CONFIG.format(
            name=self.name,
            dims=list(self.raw if is_text else (*self.raw, 3)),
            num_outputs=self.num_outputs,
            kind=kind,
            architecture=self.architecture,
            input="text" if is_text else "picture",
            size=self.size,
        )


PIPELINES = (
    Pipeline("pipe_resnext", "resnext50_32x4d", 224),
    Pipeline("pipe_regnet", "regnet_y_3_2gf", 224),
    Pipeline("pipe_efficientnet_v2", "efficientnet_v2_s", 384),
    Pipeline("pipe_maxvit", "maxvit_t", 224),
    Pipeline("pipe_deeplab", "deeplabv3_resnet50", 512, num_outputs=21),
    Pipeline("pipe_unet", "unet2d", 512, num_outputs=4),
    Pipeline("pipe_distilbert", "encoder", 128, (1024,), num_outputs=768),
    Pipeline("pipe_gpt2", "decoder", 64, (512,), num_outputs=768),
    Pipeline("pipe_wide_resnet", "wide_resnet50_2", 224),
    Pipeline("pipe_mobilenet_v2", "mobilenet_v2", 224, (1080, 1440)),
)

SMALL = (
    Pipeline("pipe_mobilenet_v2", "mobilenet_v2", 64, (48, 64)),
    Pipeline("pipe_shufflenet", "shufflenet_v2_x0_5", 64, (48, 64)),
    Pipeline("pipe_unet", "unet2d", 64, (48, 64), num_outputs=4),
)
"""For a trial on a machine without a GPU."""


def write_pipelines(
    folder: Path, pipelines: tuple[Pipeline, ...], *, kind: str = "KIND_GPU"
) -> None:
    """Write a Triton model repository with these pipelines."""
    here = Path(__file__).parent
    for one in pipelines:
        version = folder / one.name / "1"
        version.mkdir(parents=True, exist_ok=True)
        (folder / one.name / "config.pbtxt").write_text(one.config(kind=kind))
        shutil.copy(here / "pipeline_model.py", version / "model.py")
        shutil.copy(here / "pipeline_networks.py", version / "pipeline_networks.py")
