"""Networks of timm and transformers, with random weights.

This file travels into the model repository beside ``pipeline_networks.py``. Every one
takes pictures or token numbers and returns a vector of scores, so that one served model
fits all. Nothing is fetched: only configurations are used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

PREFIX = "timm/"
"""Of an architecture that timm knows by what follows."""


class Scored(nn.Module):
    """A network whose answer is made a vector per input.

    Args:
        network: Of ``transformers``.
        field: Of its answer: features (input, place, width), or maps of scores.
    """

    def __init__(self, network: nn.Module, field: str) -> None:
        super().__init__()
        self.network = network
        self.field = field

    def forward(self, given: Tensor) -> Tensor:
        """Return the mean over places, whichever they are."""
        found = getattr(self.network(given), self.field)
        return found.mean(1) if found.dim() == 3 else found.mean((2, 3))


class Listener(nn.Module):
    """The encoder of Whisper; its spectrum comes as the bytes of a picture.

    References:
        Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision",
        2022.
    """

    NUM_BANDS = 80

    def __init__(self, size: int = 240) -> None:
        super().__init__()
        from transformers import WhisperConfig
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        self.encoder = WhisperEncoder(
            WhisperConfig(
                d_model=512,
                encoder_layers=6,
                encoder_attention_heads=8,
                encoder_ffn_dim=2048,
                max_source_positions=3 * size * size // self.NUM_BANDS // 2,
            )
        )

    def forward(self, picture: Tensor) -> Tensor:
        """Return the mean of the encoded frames."""
        spectrum = picture.reshape(len(picture), self.NUM_BANDS, -1)
        return self.encoder(spectrum).last_hidden_state.mean(1)


class GreedyDecoder(nn.Module):
    """Greedy decoding of a few tokens, keys and values kept.

    Args:
        network: A causal language model of ``transformers``.
        num_new: Tokens after the first.
    """

    def __init__(self, network: nn.Module, num_new: int = 5) -> None:
        super().__init__()
        self.num_new = num_new
        self.network = network

    def forward(self, numbers: Tensor) -> Tensor:
        """Return the last token's scores after ``num_new`` more tokens."""
        kept: Any = None
        for _ in range(self.num_new + 1):
            found = self.network(
                numbers, past_key_values=kept, use_cache=True, logits_to_keep=1
            )
            kept = found.past_key_values
            numbers = found.logits[:, -1].argmax(-1, keepdim=True)
        return found.logits[:, -1, :512]


def _llama() -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=512,
        intermediate_size=1408,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=4,
    )
    return GreedyDecoder(LlamaForCausalLM(config))


def _gpt_neox() -> nn.Module:
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    config = GPTNeoXConfig(
        hidden_size=512,
        intermediate_size=2048,
        num_hidden_layers=6,
        num_attention_heads=8,
    )
    return GreedyDecoder(GPTNeoXForCausalLM(config))


def _albert() -> nn.Module:
    from transformers import AlbertConfig, AlbertModel

    # Its other attention asks the GPU whether the mask hides anything, which ends the
    # capture of a CUDA graph.
    config = AlbertConfig(
        embedding_size=128,
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        attn_implementation="eager",
    )
    return Scored(AlbertModel(config), "last_hidden_state")


def _electra() -> nn.Module:
    from transformers import ElectraConfig, ElectraModel

    config = ElectraConfig(
        embedding_size=128,
        hidden_size=256,
        intermediate_size=1024,
        num_hidden_layers=12,
        num_attention_heads=4,
    )
    return Scored(ElectraModel(config), "last_hidden_state")


def _t5() -> nn.Module:
    from transformers import T5Config, T5EncoderModel

    return Scored(T5EncoderModel(T5Config()), "last_hidden_state")


def _mobile_bert() -> nn.Module:
    from transformers import MobileBertConfig, MobileBertModel

    return Scored(
        MobileBertModel(MobileBertConfig(num_hidden_layers=12)), "last_hidden_state"
    )


def _segformer() -> nn.Module:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    config = SegformerConfig(hidden_sizes=[64, 128, 320, 512], num_labels=150)
    return Scored(SegformerForSemanticSegmentation(config), "logits")


_BUILDERS: Mapping[str, Callable[[], nn.Module]] = {
    "whisper": Listener,
    "llama": _llama,
    "gpt_neox": _gpt_neox,
    "albert": _albert,
    "electra": _electra,
    "t5": _t5,
    "mobile_bert": _mobile_bert,
    "segformer": _segformer,
}


def knows(architecture: str) -> bool:
    """Return whether ``build_network`` has this architecture."""
    return architecture in _BUILDERS or architecture.startswith(PREFIX)


def build_network(architecture: str) -> nn.Module:
    """Return a network with random weights."""
    if architecture in _BUILDERS:
        return _BUILDERS[architecture]()
    import timm

    return timm.create_model(architecture.removeprefix(PREFIX), pretrained=False)
