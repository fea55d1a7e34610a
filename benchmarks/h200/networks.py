"""The networks of the zoo that torchvision does not have, with random weights.

This file travels into the model repository beside ``served_model.py``; it needs
torch and torchvision alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class UNet3d(nn.Module):
    """Encoder, decoder and skips over a volume.

    References:
        Çiçek et al., "3D U-Net: Learning Dense Volumetric Segmentation from Sparse
        Annotation", 2016; instance normalization and leaky ReLU as in nnU-Net.
    """

    def __init__(
        self, num_inputs: int, num_classes: int, widths: Sequence[int]
    ) -> None:
        super().__init__()
        self.down = nn.ModuleList()
        num_channels = num_inputs
        for depth, width in enumerate(widths):
            self.down.append(
                nn.Sequential(
                    _normalized_conv(num_channels, width, stride=2 if depth else 1),
                    _normalized_conv(width, width),
                )
            )
            num_channels = width
        self.up = nn.ModuleList()
        self.merge = nn.ModuleList()
        for deep, shallow in zip(widths[:0:-1], widths[-2::-1], strict=True):
            self.up.append(nn.ConvTranspose3d(deep, shallow, 2, stride=2))
            self.merge.append(
                nn.Sequential(
                    _normalized_conv(2 * shallow, shallow),
                    _normalized_conv(shallow, shallow),
                )
            )
        self.head = nn.Conv3d(widths[0], num_classes, 1)

    def forward(self, volume: Tensor) -> Tensor:
        """Return one score per class and voxel."""
        skips = []
        for stage in self.down:
            volume = stage(volume)
            skips.append(volume)
        skips.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            volume = merge(torch.cat([up(volume), skips.pop()], dim=1))
        return self.head(volume)


class ResidualBlock3d(nn.Module):
    """Two normalized convolutions around an identity."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.GroupNorm(8, num_channels),
            nn.ReLU(inplace=True),
            nn.Conv3d(num_channels, num_channels, 3, padding=1, bias=False),
            nn.GroupNorm(8, num_channels),
            nn.ReLU(inplace=True),
            nn.Conv3d(num_channels, num_channels, 3, padding=1, bias=False),
        )

    def forward(self, volume: Tensor) -> Tensor:
        """Return the volume with what the block adds."""
        # The first activation works in place on the normalized copy, not on this.
        return volume + self.body(volume)


class SegResNet(nn.Module):
    """A residual encoder with a slim decoder, as for brain tumours.

    References:
        Myronenko, "3D MRI Brain Tumor Segmentation Using Autoencoder
        Regularization", 2018, without the autoencoder branch.
    """

    def __init__(self, num_inputs: int, num_classes: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv3d(num_inputs, width, 3, padding=1)
        self.down = nn.ModuleList()
        for depth, num_blocks in enumerate((1, 2, 2, 4)):
            channels = width * 2**depth
            narrow = [nn.Conv3d(channels // 2, channels, 3, stride=2, padding=1)]
            blocks = [ResidualBlock3d(channels) for _ in range(num_blocks)]
            self.down.append(nn.Sequential(*(narrow if depth else []), *blocks))
        self.up = nn.ModuleList()
        self.refine = nn.ModuleList()
        for depth in (3, 2, 1):
            channels = width * 2**depth
            self.up.append(
                nn.Sequential(
                    nn.Conv3d(channels, channels // 2, 1),
                    nn.Upsample(scale_factor=2, mode="trilinear"),
                )
            )
            self.refine.append(ResidualBlock3d(channels // 2))
        self.head = nn.Conv3d(width, num_classes, 1)

    def forward(self, volume: Tensor) -> Tensor:
        """Return one score per class and voxel."""
        volume = self.stem(volume)
        skips = []
        for stage in self.down:
            volume = stage(volume)
            skips.append(volume)
        skips.pop()
        for up, refine in zip(self.up, self.refine, strict=True):
            volume = refine(up(volume) + skips.pop())
        return self.head(volume)


class VNet(nn.Module):
    """Residual stages of 5 × 5 × 5 convolutions.

    References:
        Milletari et al., "V-Net: Fully Convolutional Neural Networks for Volumetric
        Medical Image Segmentation", 2016.
    """

    def __init__(self, num_inputs: int, num_classes: int, width: int) -> None:
        super().__init__()
        self.stem = _wide_conv(num_inputs, width)
        depths = (2, 3, 3)
        self.down = nn.ModuleList(
            nn.Conv3d(width * 2**depth, width * 2 ** (depth + 1), 2, stride=2)
            for depth in range(len(depths))
        )
        self.encode = nn.ModuleList(
            nn.Sequential(
                *(_wide_conv(width * 2 ** (depth + 1)) for _ in range(num_convs))
            )
            for depth, num_convs in enumerate(depths)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose3d(width * 2 ** (depth + 1), width * 2**depth, 2, stride=2)
            for depth in reversed(range(len(depths)))
        )
        self.decode = nn.ModuleList(
            _wide_conv(width * 2 ** (depth + 1), width * 2**depth)
            for depth in reversed(range(len(depths)))
        )
        self.head = nn.Conv3d(width, num_classes, 1)

    def forward(self, volume: Tensor) -> Tensor:
        """Return one score per class and voxel."""
        volume = self.stem(volume)
        skips = []
        for down, encode in zip(self.down, self.encode, strict=True):
            skips.append(volume)
            volume = down(volume)
            volume = volume + encode(volume)
        for up, decode in zip(self.up, self.decode, strict=True):
            wide = up(volume)
            volume = wide + decode(torch.cat([wide, skips.pop()], dim=1))
        return self.head(volume)


class WideKernelBlock3d(nn.Module):
    """A 5 × 5 × 5 convolution of each channel by itself, then two dense layers."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(num_channels, num_channels, 5, padding=2, groups=num_channels),
            nn.GroupNorm(num_channels, num_channels),
            nn.Conv3d(num_channels, 2 * num_channels, 1),
            nn.GELU(),
            nn.Conv3d(2 * num_channels, num_channels, 1),
        )

    def forward(self, volume: Tensor) -> Tensor:
        """Return the volume with what the block adds."""
        return volume + self.body(volume)


class MedNeXt(nn.Module):
    """An encoder and decoder of blocks after the manner of ConvNeXt.

    References:
        Roy et al., "MedNeXt: Transformer-driven Scaling of ConvNets for Medical Image
        Segmentation", 2023; its smallest form, one block less per stage.
    """

    def __init__(self, num_inputs: int, num_classes: int, width: int) -> None:
        super().__init__()
        widths = [width * 2**depth for depth in range(4)]
        self.stem = nn.Conv3d(num_inputs, width, 1)
        self.encode = nn.ModuleList(WideKernelBlock3d(one) for one in widths)
        self.down = nn.ModuleList(
            nn.Conv3d(shallow, deep, 2, stride=2) for shallow, deep in pairwise(widths)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose3d(deep, shallow, 2, stride=2)
            for shallow, deep in zip(widths[-2::-1], widths[:0:-1], strict=True)
        )
        self.decode = nn.ModuleList(WideKernelBlock3d(one) for one in widths[-2::-1])
        self.head = nn.Conv3d(width, num_classes, 1)

    def forward(self, volume: Tensor) -> Tensor:
        """Return one score per class and voxel."""
        volume = self.stem(volume)
        skips = []
        for encode, down in zip(self.encode, self.down, strict=False):
            skips.append(encode(volume))
            volume = down(skips[-1])
        volume = self.encode[-1](volume)
        for up, decode in zip(self.up, self.decode, strict=True):
            volume = decode(up(volume) + skips.pop())
        return self.head(volume)


class Recommender(nn.Module):
    """Looked-up features and wide dense layers: little to compute, much to read.

    References:
        Naumov et al., "Deep Learning Recommendation Model for Personalization and
        Recommendation Systems", 2019, without the dense features.
    """

    def __init__(self, *, num_features: int, num_rows: int, width: int) -> None:
        super().__init__()
        self.num_rows = num_rows
        self.rows = nn.Embedding(num_rows, 64)
        self.top = nn.Sequential(
            *(nn.Linear(64 * num_features, width), nn.ReLU()),
            *(nn.Linear(width, width), nn.ReLU()),
            *(nn.Linear(width, width // 2), nn.ReLU()),
            nn.Linear(width // 2, 1),
        )

    def forward(self, numbers: Tensor) -> Tensor:
        """Return one score per input; any number stands for some row."""
        rows = self.rows(torch.remainder(numbers.long(), self.num_rows))
        return torch.sigmoid(self.top(rows.flatten(1)))


class TextEncoder(nn.Module):
    """A transformer encoder over token numbers, in BERT's sizes."""

    def __init__(self, *, width: int, num_layers: int, num_tokens: int) -> None:
        super().__init__()
        self.num_tokens = num_tokens
        self.tokens = nn.Embedding(num_tokens, width)
        self.positions = nn.Embedding(512, width)
        layer = nn.TransformerEncoderLayer(
            width, width // 64, 4 * width, activation="gelu", batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, num_layers)

    def forward(self, numbers: Tensor) -> Tensor:
        """Return the mean of the encoded tokens; any number stands for some token."""
        positions = torch.arange(numbers.shape[1], device=numbers.device)
        numbers = torch.remainder(numbers.long(), self.num_tokens)
        return self.encoder(self.tokens(numbers) + self.positions(positions)).mean(1)


def _normalized_conv(num_inputs: int, num_outputs: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(num_inputs, num_outputs, 3, stride=stride, padding=1, bias=False),
        nn.InstanceNorm3d(num_outputs, affine=True),
        nn.LeakyReLU(0.01, inplace=True),
    )


def _wide_conv(num_inputs: int, num_outputs: int | None = None) -> nn.Module:
    num_outputs = num_outputs or num_inputs
    return nn.Sequential(
        nn.Conv3d(num_inputs, num_outputs, 5, padding=2, bias=False),
        nn.BatchNorm3d(num_outputs),
        nn.PReLU(num_outputs),
    )


_BUILDERS: Mapping[str, Callable[[], nn.Module]] = {
    "unet3d_small": lambda: UNet3d(1, 3, (16, 32, 64, 128)),
    "unet3d": lambda: UNet3d(1, 2, (32, 64, 128, 256, 320)),
    "vnet": lambda: VNet(1, 3, 16),
    "segresnet_liver": lambda: SegResNet(1, 3, 32),
    "segresnet_brain": lambda: SegResNet(4, 4, 16),
    "mednext": lambda: MedNeXt(1, 2, 16),
    "recommender": lambda: Recommender(num_features=26, num_rows=2**20, width=16384),
    "text_encoder_large": lambda: TextEncoder(
        width=1024, num_layers=24, num_tokens=30522
    ),
    "text_encoder": lambda: TextEncoder(width=768, num_layers=12, num_tokens=30522),
}


def build_network(architecture: str) -> nn.Module:
    """Return a network of this module, or torchvision's, with random weights."""
    if architecture in _BUILDERS:
        return _BUILDERS[architecture]()
    from torchvision import models  # takes a second; half of the zoo does without

    return models.get_model(architecture, weights=None)
