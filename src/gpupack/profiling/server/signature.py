"""What a model takes and gives, from the server's own description of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gpupack.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence


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
        has_response_cache: Whether the model asks for a response cache; the server
            may have none.
        steps: Models that it consists of, if it is an ensemble.
        version: The one version that is loaded; None where the server chose.
        batch_dim: Which dimension of its tensors is the batch, where ``max_batch_size``
            is 0 and one was said or found; see ``with_batch_dim``.
        is_batch_dim_found: Nobody said it: responses must bear it out.
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
    steps: tuple[str, ...] = ()
    version: int | None = None
    batch_dim: int | None = None
    is_batch_dim_found: bool = False

    @classmethod
    def parse(cls, config: dict[str, Any]) -> ModelSignature:
        """Return the signature in a model configuration, as JSON from the server."""
        policy = config.get("model_transaction_policy") or {}
        cache = config.get("response_cache") or {}
        groups = config.get("instance_group") or []
        steps = (config.get("ensemble_scheduling") or {}).get("step") or []
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
            steps=tuple(dict.fromkeys(str(step["model_name"]) for step in steps)),
        )

    def find_batch_dim(self) -> int | None:
        """Return 0 if the first dimension looks like a batch, None if not.

        So it does where ``max_batch_size`` is 0 and the first size is dynamic in every
        output and in every input that has a dynamic size, and no such input has one
        dimension alone, which may be a sequence's length.
        """
        dynamic = [spec for spec in self.inputs if any(size < 0 for size in spec.dims)]
        if self.max_batch_size > 0 or not dynamic:
            return None
        is_first = all(spec.dims[:1] == (-1,) for spec in (*dynamic, *self.outputs))
        return 0 if is_first and all(len(spec.dims) > 1 for spec in dynamic) else None

    def with_batch_dim(self, batch_dim: int | None) -> ModelSignature:
        """Return the signature with that dimension as its batch, None for no batch.

        Raises:
            InvalidInputError: The model declares a batch of its own, or no input has
                that dimension.
        """
        if batch_dim is None:
            return replace(self, batch_dim=None)
        if self.max_batch_size > 0:
            raise InvalidInputError(
                f"model {self.name} declares its batch (max_batch_size "
                f"{self.max_batch_size}), which no dimension of its tensors is: leave "
                "--batch-dim out"
            )
        if not any(len(spec.dims) > batch_dim for spec in self.inputs):
            shapes = ", ".join(f"{one.name} {list(one.dims)}" for one in self.inputs)
            raise InvalidInputError(
                f"model {self.name}: no input has a dimension {batch_dim} (they are "
                f"counted from 0): {shapes}"
            )
        return replace(self, batch_dim=batch_dim)

    def batch_axis(self, spec: TensorSpec) -> int | None:
        """Return where a tensor of this model has its batch, None if it has none.

        With a ``batch_dim``, tensors without that dimension have none; neither have
        those in which it is fixed, if it is dynamic in an input.
        """
        if self.max_batch_size > 0:
            return 0
        if self.batch_dim is None or len(spec.dims) <= self.batch_dim:
            return None
        fixed = self.fixed_batch_size
        is_batch = spec.dims[self.batch_dim] == (-1 if fixed is None else fixed)
        return self.batch_dim if is_batch else None

    @property
    def fixed_batch_size(self) -> int | None:
        """The size of the batch dimension, where it is no input's choice."""
        if self.max_batch_size > 0 or self.batch_dim is None:
            return None
        sizes = [
            spec.dims[self.batch_dim]
            for spec in self.inputs
            if len(spec.dims) > self.batch_dim
        ]
        return None if any(size < 0 for size in sizes) else max(sizes)

    def item_dims(self, spec: TensorSpec) -> tuple[int, ...]:
        """Return a tensor's dimensions without its batch."""
        axis = self.batch_axis(spec)
        if axis is None or self.max_batch_size > 0:
            return spec.dims
        return spec.dims[:axis] + spec.dims[axis + 1 :]

    def request_dims(self, spec: TensorSpec, batch_size: int) -> tuple[int, ...]:
        """Return a tensor's dimensions in a request of so many inputs."""
        return self.with_batch(spec, self.item_dims(spec), batch_size)

    def with_batch(
        self, spec: TensorSpec, item_dims: Sequence[int], batch_size: int
    ) -> tuple[int, ...]:
        """Return an item's dimensions with the batch where the tensor has it."""
        axis, dims = self.batch_axis(spec), tuple(item_dims)
        return dims if axis is None else (*dims[:axis], batch_size, *dims[axis:])

    def check_drivable(self, batch_size: int) -> None:
        """Refuse what gpupack's clients cannot drive.

        Raises:
            InvalidInputError: A model of sequences that is decoupled, too, or a batch
                size that the model does not take.
        """
        if self.is_sequence and self.is_decoupled:
            raise InvalidInputError(
                f"model {self.name} is stateful (sequence_batching) and decoupled at "
                "once: when a sequence may go on depends on its answers, which gpupack "
                "does not follow; leave it out with --models"
            )
        if self.is_sequence and batch_size > 1:
            raise InvalidInputError(
                f"model {self.name} is stateful (sequence_batching): a request holds "
                f"one step of one sequence, not {batch_size}, and Triton itself "
                "batches those of different sequences; leave the batch size out, and "
                "raise the concurrency"
            )
        if self.batch_dim is not None:
            fixed = self.fixed_batch_size
            if fixed is not None and fixed != batch_size:
                raise InvalidInputError(
                    f"model {self.name} cannot take batch size {batch_size}: dimension "
                    f"{self.batch_dim} of its inputs is fixed at {fixed}"
                )
            return
        if batch_size > max(self.max_batch_size, 1):
            allowed = (
                "it takes no batch dimension (max_batch_size: 0), only batch size 1"
                if self.max_batch_size == 0
                else f"its max_batch_size is {self.max_batch_size}"
            )
            way_out = (
                "say which dimension of its inputs is the batch with --batch-dim"
                if self.max_batch_size == 0
                else "raise max_batch_size in its config.pbtxt"
            )
            raise InvalidInputError(
                f"model {self.name} cannot take batch size {batch_size}: {allowed}; "
                f"leave the batch size out, or {way_out}"
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
