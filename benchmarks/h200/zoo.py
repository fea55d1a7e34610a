"""The models of the recorded profile: thirteen architectures, random weights.

Classifiers and 3-D segmentation networks as in the article on medical imaging, and a
few that serve elsewhere. ``write_repository`` makes a Triton model repository of them.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

_CONFIG = """\
name: "{name}"
backend: "python"
max_batch_size: {max_batch_size}
input [ {{ name: "INPUT" data_type: {input_type} dims: {input_dims} }} ]
output [ {{ name: "OUTPUT" data_type: {output_type} dims: {output_dims} }} ]
instance_group [ {{ count: 1 kind: {kind} }} ]
parameters {{ key: "architecture" value {{ string_value: "{architecture}" }} }}
parameters {{ key: "precision" value {{ string_value: "{precision}" }} }}
parameters {{ key: "output" value {{ string_value: "{output}" }} }}
"""


_INPUT_TYPES = {1: "TYPE_INT32", 3: "TYPE_UINT8", 4: "TYPE_FP16"}
"""By number of dimensions: token numbers, pictures as decoded, scanned volumes."""


@dataclass(frozen=True)
class ZooModel:
    """One served model and the load points it is recorded at.

    Attributes:
        name: As served.
        architecture: As ``networks.build_network`` knows it.
        input_dims: Without the batch.
        output: ``scores`` (one vector) or ``labels`` (one class per voxel).
        num_outputs: Length of the vector of scores.
        precision: What the network computes in, whatever its inputs come as.
        batch_sizes: In rising order, because a model keeps the memory of every batch
            size that it has served.
    """

    name: str
    architecture: str
    input_dims: tuple[int, ...]
    output: str = "scores"
    num_outputs: int = 1000
    precision: str = "float32"
    batch_sizes: tuple[int, ...] = (1, 8, 32)
    concurrency: tuple[int, ...] = (1, 4)

    def config(self, *, kind: str) -> str:
        """Return the text of ``config.pbtxt``; ``kind`` is Triton's ``KIND_…``."""
        labels = self.output == "labels"
        return _CONFIG.format(
            name=self.name,
            max_batch_size=max(self.batch_sizes),
            input_type=_INPUT_TYPES[len(self.input_dims)],
            input_dims=list(self.input_dims),
            output_type="TYPE_UINT8" if labels else "TYPE_FP32",
            output_dims=[1, *self.input_dims[1:]] if labels else [self.num_outputs],
            kind=kind,
            architecture=self.architecture,
            precision=self.precision,
            output=self.output,
        )


_IMAGE = (3, 224, 224)
_VOLUME_BATCHES = (1, 2, 4)
_LARGE_VOLUME_BATCHES = (1, 2)

ZOO = (
    ZooModel(
        "classification_breast", "mobilenet_v3_large", _IMAGE, precision="float16"
    ),
    ZooModel("classification_chest", "densenet121", _IMAGE, precision="float16"),
    ZooModel("classification_malaria", "efficientnet_b0", _IMAGE, precision="float16"),
    ZooModel("classification_resnet50", "resnet50", _IMAGE, precision="float16"),
    ZooModel(
        "classification_convnext", "convnext_base", _IMAGE, batch_sizes=(1, 4, 16)
    ),
    ZooModel("classification_swin", "swin_t", _IMAGE, precision="float16"),
    ZooModel("classification_vit", "vit_b_16", _IMAGE, precision="float16"),
    ZooModel(
        "text_encoder", "text_encoder", (128,), num_outputs=768, precision="float16"
    ),
    ZooModel(
        "segmentation_mri_hippocampus",
        "unet3d_small",
        (1, 48, 48, 48),
        "labels",
        batch_sizes=(1, 4, 16),
    ),
    ZooModel(
        "segmentation_ct_spleen",
        "unet3d",
        (1, 96, 96, 96),
        "labels",
        batch_sizes=_VOLUME_BATCHES,
    ),
    ZooModel(
        "segmentation_ct_pancreas",
        "vnet",
        (1, 96, 96, 96),
        "labels",
        batch_sizes=_VOLUME_BATCHES,
    ),
    ZooModel(
        "segmentation_liver",
        "segresnet_liver",
        (1, 128, 128, 128),
        "labels",
        batch_sizes=_LARGE_VOLUME_BATCHES,
    ),
    ZooModel(
        "segmentation_mri_brain_tumor",
        "segresnet_brain",
        (4, 128, 128, 128),
        "labels",
        batch_sizes=_LARGE_VOLUME_BATCHES,
    ),
)

MORE = (
    ZooModel("classification_vgg", "vgg16", _IMAGE, precision="float16"),
    ZooModel(
        "recommender",
        "recommender",
        (26,),
        num_outputs=1,
        precision="float16",
        batch_sizes=(1, 8, 64),
    ),
    ZooModel(
        "segmentation_ct_lung",
        "mednext",
        (1, 96, 96, 96),
        "labels",
        batch_sizes=_VOLUME_BATCHES,
    ),
    ZooModel(
        "text_encoder_large",
        "text_encoder_large",
        (256,),
        num_outputs=1024,
        precision="float16",
    ),
)
"""Only in the co-location records: so that each half has models with long kernels, with
short ones, and of those that mostly read memory."""


def write_repository(
    folder: Path, zoo: tuple[ZooModel, ...] = ZOO, *, kind: str = "KIND_GPU"
) -> None:
    """Write a Triton model repository with these models."""
    here = Path(__file__).parent
    for model in zoo:
        version = folder / model.name / "1"
        version.mkdir(parents=True, exist_ok=True)
        (folder / model.name / "config.pbtxt").write_text(model.config(kind=kind))
        shutil.copy(here / "served_model.py", version / "model.py")
        shutil.copy(here / "networks.py", version / "networks.py")
