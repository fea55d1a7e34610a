"""Networks that keep a GPU busy: one half to fit to, others to judge by.

None is of the zoo or of the earlier pipelines' fit. ``FRESH`` are others again, of
which nothing was known when the forms and figures were chosen that they judge, and
``NEW`` others once more, after these had been looked at. Most get their input as the
GPU takes it and see it several times (``busy_model``); some are prepared on the host;
some are launched as CUDA graphs, the others kernel by kernel.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.h200.host_speed import PARAMETER as HOST_SPEED

_CONFIG = """\
name: "{name}"
backend: "python"
max_batch_size: 1
input [ {{ name: "INPUT" data_type: TYPE_UINT8 dims: {dims} }} ]
output [ {{ name: "OUTPUT" data_type: TYPE_FP32 dims: [ {num_outputs} ] }} ]
instance_group [ {{ count: 1 kind: {kind} }} ]
parameters {{ key: "architecture" value {{ string_value: "{architecture}" }} }}
parameters {{ key: "input" value {{ string_value: "{input}" }} }}
parameters {{ key: "size" value {{ string_value: "{size}" }} }}
parameters {{ key: "crops" value {{ string_value: "{crops}" }} }}
parameters {{ key: "host" value {{ string_value: "{host}" }} }}
parameters {{ key: "captured" value {{ string_value: "{captured}" }} }}
parameters {{ key: "wait_ms" value {{ string_value: "{wait_ms:g}" }} }}
"""
_HOST_SPEED = """\
parameters {{ key: "{key}" value {{ string_value: "{folder}" }} }}
"""


@dataclass(frozen=True)
class BusyNetwork:
    """One served network.

    Attributes:
        name: As served.
        architecture: As ``pipeline_networks.build_network`` knows it.
        size: Of the square picture that the network sees, or tokens of a text.
        crops: How many times the network sees a request's input.
        raw: Height and width of the picture that comes, or bytes of the text; None is
            the network's own size.
        on_host: The host prepares the input.
        is_captured: Launched as a CUDA graph.
        wait_ms: How long a request waits for another service first, on average.
        num_outputs: Length of the vector of scores.
    """

    name: str
    architecture: str
    size: int
    crops: int
    raw: tuple[int, ...] | None = None
    on_host: bool = False
    is_captured: bool = False
    wait_ms: float = 0.0
    num_outputs: int = 1000

    def config(self, *, kind: str, host_speed: Path | None = None) -> str:
        """Return the text of ``config.pbtxt``; readings of the host go to a folder."""
        raw = self.raw or (self.size, self.size)
        is_text = len(raw) == 1
        text = _CONFIG.format(
            name=self.name,
            dims=list(raw if is_text else (*raw, 3)),
            num_outputs=self.num_outputs,
            kind=kind,
            architecture=self.architecture,
            input="text" if is_text else "picture",
            size=self.size,
            crops=self.crops,
            host="yes" if self.on_host else "no",
            captured="yes" if self.is_captured else "no",
            wait_ms=self.wait_ms,
        )
        if host_speed is not None:
            text += _HOST_SPEED.format(key=HOST_SPEED, folder=host_speed)
        return text


FITTING = (
    BusyNetwork("fit_resnext", "resnext50_32x4d", 224, 16),
    BusyNetwork("fit_convnext", "convnext_tiny", 224, 8, is_captured=True),
    BusyNetwork("fit_encoder", "encoder", 128, 16, (512,), num_outputs=768),
    BusyNetwork("fit_unet", "unet2d", 256, 4, num_outputs=4),
    BusyNetwork("fit_densenet", "densenet121", 224, 8, is_captured=True),
    BusyNetwork("fit_decoder", "decoder_short", 64, 8, (512,), num_outputs=768),
    BusyNetwork("fit_mobilenet", "mobilenet_v2", 224, 4, (480, 640), on_host=True),
    BusyNetwork("fit_swin", "swin_t", 224, 8, is_captured=True),
)

JUDGING = (
    BusyNetwork("judge_vit", "vit_b_16", 224, 4, is_captured=True),
    BusyNetwork("judge_efficientnet", "efficientnet_v2_s", 256, 8, is_captured=True),
    BusyNetwork("judge_resnet", "resnet101", 224, 4, is_captured=True),
    BusyNetwork("judge_regnet", "regnet_y_3_2gf", 224, 12, is_captured=True),
    BusyNetwork(
        *("judge_bert", "encoder_large", 128, 8, (512,)),
        is_captured=True,
        wait_ms=2.0,
        num_outputs=1024,
    ),
    BusyNetwork(
        "judge_wide_resnet", "wide_resnet50_2", 224, 8, is_captured=True, wait_ms=6.0
    ),
    BusyNetwork(
        *("judge_deeplab", "deeplabv3_resnet50", 384, 2),
        is_captured=True,
        wait_ms=9.0,
        num_outputs=21,
    ),
    BusyNetwork("judge_mnasnet", "mnasnet1_0", 224, 16, is_captured=True, wait_ms=4.0),
    BusyNetwork("judge_vgg", "vgg11_bn", 224, 4, is_captured=True, wait_ms=12.0),
    BusyNetwork("judge_shufflenet", "shufflenet_v2_x1_0", 224, 16),
    BusyNetwork("judge_maxvit", "maxvit_t", 224, 4, (480, 640), on_host=True),
    BusyNetwork(
        "judge_gpt", "decoder_small", 48, 16, (512,), on_host=True, num_outputs=512
    ),
)

FRESH = (
    BusyNetwork("fresh_mixer", "timm/mixer_b16_224", 224, 6, is_captured=True),
    BusyNetwork("fresh_xcit", "timm/xcit_small_12_p16_224", 224, 8, is_captured=True),
    BusyNetwork("fresh_inception", "timm/inception_v4", 299, 8, is_captured=True),
    BusyNetwork("fresh_nfnet", "timm/dm_nfnet_f0", 192, 4, is_captured=True),
    BusyNetwork(
        "fresh_vovnet", "timm/ese_vovnet39b", 224, 4, is_captured=True, wait_ms=6.0
    ),
    BusyNetwork(
        "fresh_mobilevit", "timm/mobilevit_s", 256, 4, is_captured=True, wait_ms=5.0
    ),
    BusyNetwork(
        *("fresh_whisper", "whisper", 240, 2),
        is_captured=True,
        wait_ms=9.0,
        num_outputs=512,
    ),
    BusyNetwork(
        *("fresh_mobilebert", "mobile_bert", 128, 12, (512,)),
        is_captured=True,
        wait_ms=8.0,
        num_outputs=512,
    ),
    BusyNetwork("fresh_poolformer", "timm/poolformer_s24", 224, 8),
    BusyNetwork("fresh_hrnet", "timm/hrnet_w18", 224, 4),
    BusyNetwork(
        "fresh_ghostnet", "timm/ghostnet_100", 224, 8, (480, 640), on_host=True
    ),
    BusyNetwork(
        *("fresh_segformer", "segformer", 256, 2, (480, 640)),
        on_host=True,
        num_outputs=150,
    ),
    BusyNetwork(*("fresh_t5", "t5", 128, 16, (512,)), on_host=True, num_outputs=512),
    BusyNetwork(
        *("fresh_llama", "llama", 48, 8, (512,)), on_host=True, num_outputs=512
    ),
)

NEW = (
    BusyNetwork("new_convnextv2", "timm/convnextv2_nano", 224, 8, is_captured=True),
    BusyNetwork("new_resnest", "timm/resnest50d", 224, 6, is_captured=True),
    BusyNetwork("new_res2net", "timm/res2net50_26w_4s", 224, 6, is_captured=True),
    BusyNetwork("new_cait", "timm/cait_xxs24_224", 224, 6, is_captured=True),
    BusyNetwork(
        "new_twins", "timm/twins_svt_small", 224, 6, is_captured=True, wait_ms=6.0
    ),
    BusyNetwork("new_repvgg", "timm/repvgg_a2", 224, 8, is_captured=True, wait_ms=5.0),
    BusyNetwork("new_dla", "timm/dla60", 224, 6, is_captured=True, wait_ms=7.0),
    BusyNetwork("new_rexnet", "timm/rexnet_150", 224, 8, is_captured=True, wait_ms=9.0),
    # Copies from the host in its code keep it from being captured.
    BusyNetwork(
        *("new_albert", "albert", 128, 12, (512,)), wait_ms=8.0, num_outputs=768
    ),
    BusyNetwork("new_edgenext", "timm/edgenext_small", 256, 8),
    BusyNetwork("new_cspdarknet", "timm/cspdarknet53", 256, 6),
    BusyNetwork("new_fbnet", "timm/fbnetc_100", 224, 8, (480, 640), on_host=True),
    BusyNetwork("new_levit", "timm/levit_256", 224, 8, (480, 640), on_host=True),
    BusyNetwork(
        *("new_electra", "electra", 128, 12, (512,)), on_host=True, num_outputs=256
    ),
    BusyNetwork(
        *("new_gpt_neox", "gpt_neox", 48, 8, (512,)), on_host=True, num_outputs=512
    ),
)

SMALL = (
    BusyNetwork("small_mobilenet", "mobilenet_v2", 64, 1, (48, 64), on_host=True),
    BusyNetwork("small_shufflenet", "shufflenet_v2_x0_5", 64, 1),
    BusyNetwork("small_unet", "unet2d", 64, 1, num_outputs=4),
    BusyNetwork(
        "small_text", "decoder_small", 8, 1, (64,), on_host=True, num_outputs=512
    ),
)
"""For a trial on a machine without a GPU."""


def write_networks(
    folder: Path,
    networks: tuple[BusyNetwork, ...],
    *,
    kind: str = "KIND_GPU",
    host_speed: Path | None = None,
) -> None:
    """Write a Triton model repository with these networks.

    Args:
        folder: The repository.
        networks: All of them.
        kind: Of the instances.
        host_speed: Where they write readings of the host's speed; None for no readings.
    """
    here = Path(__file__).parent
    for one in networks:
        version = folder / one.name / "1"
        version.mkdir(parents=True, exist_ok=True)
        (folder / one.name / "config.pbtxt").write_text(
            one.config(kind=kind, host_speed=host_speed)
        )
        shutil.copy(here / "busy_model.py", version / "model.py")
        for name in ("pipeline_networks.py", "library_networks.py", "host_speed.py"):
            shutil.copy(here / name, version / name)
