"""Networks of the pipelines that torchvision does not have, with random weights.

This file travels into the model repository beside ``pipeline_model.py``; it needs torch
and torchvision alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional


class UNet2d(nn.Module):
    """Encoder, decoder and skips over a picture.

    References:
        Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical
        Image Segmentation", 2015.
    """

    def __init__(self, width: int = 32, depth: int = 5) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(depth)]
        self.down = nn.ModuleList(
            _double_conv(before, after)
            for before, after in zip([3, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(deep, shallow, 2, stride=2)
            for deep, shallow in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.merge = nn.ModuleList(
            _double_conv(2 * shallow, shallow) for shallow in widths[-2::-1]
        )
        self.head = nn.Conv2d(width, 4, 1)

    def forward(self, picture: Tensor) -> Tensor:
        """Return one score per class and pixel, averaged to a vector."""
        skips = []
        for index, stage in enumerate(self.down):
            picture = stage(functional.max_pool2d(picture, 2) if index else picture)
            skips.append(picture)
        skips.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            picture = merge(torch.cat([up(picture), skips.pop()], dim=1))
        return self.head(picture).mean((2, 3))


class Encoder(nn.Module):
    """A transformer encoder over token numbers, in DistilBERT's sizes."""

    def __init__(self, width: int = 768, num_layers: int = 6) -> None:
        super().__init__()
        self.tokens = nn.Embedding(30522, width)
        layer = nn.TransformerEncoderLayer(
            width, width // 64, 4 * width, activation="gelu", batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, num_layers)

    def forward(self, numbers: Tensor) -> Tensor:
        """Return the mean of the encoded tokens."""
        return self.encoder(self.tokens(numbers)).mean(1)


class Decoder(nn.Module):
    """Greedy decoding of a few tokens, in GPT-2's sizes, keys and values kept."""

    def __init__(
        self, width: int = 768, num_layers: int = 12, num_new: int = 12
    ) -> None:
        super().__init__()
        self.num_heads = width // 64
        self.num_new = num_new
        self.tokens = nn.Embedding(50257, width)
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "before": nn.LayerNorm(width),
                    "qkv": nn.Linear(width, 3 * width),
                    "out": nn.Linear(width, width),
                    "after": nn.LayerNorm(width),
                    "wide": nn.Linear(width, 4 * width),
                    "narrow": nn.Linear(4 * width, width),
                }
            )
            for _ in range(num_layers)
        )

    def forward(self, numbers: Tensor) -> Tensor:
        """Return the last token's features after ``num_new`` more tokens."""
        kept: list[tuple[Tensor, Tensor]] = []
        state = self.tokens(numbers)
        state = self._layers(state, kept, is_first=True)
        for _ in range(self.num_new):
            scores = state[:, -1] @ self.tokens.weight.T
            state = self._layers(
                self.tokens(scores.argmax(-1, keepdim=True)), kept, is_first=False
            )
        return state[:, -1]

    def _layers(
        self, state: Tensor, kept: list[tuple[Tensor, Tensor]], *, is_first: bool
    ) -> Tensor:
        batch, length, width = state.shape
        for index, block in enumerate(self.blocks):
            query, key, value = (
                part.view(batch, length, self.num_heads, -1).transpose(1, 2)
                for part in block["qkv"](block["before"](state)).chunk(3, dim=-1)
            )
            if is_first:
                kept.append((key, value))
            else:
                key = torch.cat([kept[index][0], key], dim=2)
                value = torch.cat([kept[index][1], value], dim=2)
                kept[index] = key, value
            mixed = functional.scaled_dot_product_attention(
                query, key, value, is_causal=is_first
            )
            mixed = mixed.transpose(1, 2).reshape(batch, length, width)
            state = state + block["out"](mixed)
            wide = functional.gelu(block["wide"](block["after"](state)))
            state = state + block["narrow"](wide)
        return state


def _double_conv(num_inputs: int, num_outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(num_inputs, num_outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(num_outputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(num_outputs, num_outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(num_outputs),
        nn.ReLU(inplace=True),
    )


class Segmenter(nn.Module):
    """A segmentation network of torchvision, its scores averaged to a vector."""

    def __init__(self, name: str) -> None:
        super().__init__()
        from torchvision import models

        self.network = models.get_model(
            name, weights=None, weights_backbone=None, num_classes=21
        )

    def forward(self, picture: Tensor) -> Tensor:
        """Return the mean score of every class."""
        return self.network(picture)["out"].mean((2, 3))


_BUILDERS: Mapping[str, Callable[[], nn.Module]] = {
    "unet2d": UNet2d,
    "encoder": Encoder,
    "decoder": Decoder,
    "encoder_large": lambda: Encoder(width=1024, num_layers=12),
    "decoder_short": lambda: Decoder(num_new=3),
    "decoder_small": lambda: Decoder(width=512, num_layers=6, num_new=4),
    "deeplabv3_resnet50": lambda: Segmenter("deeplabv3_resnet50"),
}


def build_network(architecture: str) -> nn.Module:
    """Return a network of this module or another library, with random weights.

    What neither this module nor ``library_networks`` has is torchvision's.
    """
    if architecture in _BUILDERS:
        return _BUILDERS[architecture]()
    try:
        import library_networks
    except ImportError:  # not every model repository has it
        library_networks = None
    if library_networks is not None and library_networks.knows(architecture):
        return library_networks.build_network(architecture)
    from torchvision import models

    return models.get_model(architecture, weights=None)
