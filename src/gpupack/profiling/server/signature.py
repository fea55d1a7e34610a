"""What a model takes and gives, from the server's own description of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gpupack.errors import InvalidInputError


@dataclass(frozen=True)
class TensorSpec:
    """One input or output; dimensions without the batch, -1 where dynamic."""

    name: str
    datatype: str
    """As in Triton's protocol: ``FP32``, ``BYTES``."""
    dims: tuple[int, ...]
    is_optional: bool = False


@dataclass(frozen=True)
class ModelSignature:
    """A loaded model, as far as driving it needs to know it.

    Attributes:
        max_batch_size: 0: the model takes no batch dimension.
        num_model_instances: Copies of the model over all devices.
        has_response_cache: Whether the server may answer from a cache.
    """

    name: str
    backend: str
    max_batch_size: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    num_model_instances: int = 1
    is_sequence: bool = False
    is_decoupled: bool = False
    has_response_cache: bool = False

    @classmethod
    def parse(cls, config: dict[str, Any]) -> ModelSignature:
        """Return the signature in a model configuration, as JSON from the server."""
        policy = config.get("model_transaction_policy") or {}
        cache = config.get("response_cache") or {}
        groups = config.get("instance_group") or []
        backend = config.get("backend") or config.get("platform") or "unknown"
        return cls(
            name=str(config["name"]),
            backend=str(backend),
            max_batch_size=int(config.get("max_batch_size") or 0),
            inputs=tuple(_spec(one) for one in config.get("input") or []),
            outputs=tuple(_spec(one) for one in config.get("output") or []),
            num_model_instances=max(1, sum(_num_instances(one) for one in groups)),
            is_sequence="sequence_batching" in config,
            is_decoupled=bool(policy.get("decoupled")),
            has_response_cache=bool(cache.get("enable")),
        )

    def check_drivable(self, batch_size: int) -> None:
        """Refuse what a closed loop of single requests cannot drive.

        Raises:
            InvalidInputError: A sequence or decoupled model, or a batch size that
                the model does not take.
        """
        if self.is_sequence:
            raise InvalidInputError(
                f"model {self.name} is stateful (sequence_batching): its requests "
                "belong together, which gpupack does not drive; profile a version "
                "of it without sequences, or leave it out with --models"
            )
        if self.is_decoupled:
            raise InvalidInputError(
                f"model {self.name} is decoupled: it may answer a request any number "
                "of times, so requests per second say nothing; leave it out with "
                "--models"
            )
        if batch_size > max(self.max_batch_size, 1):
            allowed = (
                "it takes no batch dimension (max_batch_size: 0), only batch size 1"
                if self.max_batch_size == 0
                else f"its max_batch_size is {self.max_batch_size}"
            )
            raise InvalidInputError(
                f"model {self.name} cannot take batch size {batch_size}: {allowed}; "
                "leave the batch size out, or raise max_batch_size in its config.pbtxt"
            )


def _spec(tensor: dict[str, Any]) -> TensorSpec:
    datatype = str(tensor.get("data_type", "")).removeprefix("TYPE_")
    return TensorSpec(
        name=str(tensor["name"]),
        datatype="BYTES" if datatype == "STRING" else datatype,
        dims=tuple(int(size) for size in tensor.get("dims") or []),
        is_optional=bool(tensor.get("optional")),
    )


def _num_instances(group: dict[str, Any]) -> int:
    devices = len(group.get("gpus") or []) or 1
    return int(group.get("count") or 1) * devices
