"""How model files are served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.arguments import names as names_of
from gpupack.errors import InvalidInputError
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.files import AnyPath

PRECISIONS = ("fp32", "fp16", "bf16", "int8", "fp64")
"""What a model file's weights are, or are turned into."""


@dataclass(frozen=True)
class ModelFileOptions:
    """How model files are served: each combination is a variant that is measured.

    Attributes:
        providers: Execution providers: ``cpu``, ``cuda``, ``tensorrt``, or another of
            ONNX Runtime's; PyTorch has the first two. None takes the GPU where one is
            measured, the CPU otherwise.
        precisions: ``fp32``, ``fp16``, ``bf16``, ``int8``; None takes each file's own.
        keep_repository: Folder to write the repository to, the files copied into it;
            by default it is gone after the sweep.
        trust_remote_code: Run code that a checkpoint brings.
    """

    providers: Sequence[str] | str | None = None
    precisions: Sequence[str] | str | None = None
    keep_repository: AnyPath | None = None
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        for argument in ("providers", "precisions"):
            given = getattr(self, argument)
            if given is None:
                continue
            found = [one.strip().lower() for one in names_of(argument, given)]
            if not found or not all(found):
                raise InvalidInputError(
                    f"{argument}: name at least one, or leave it out"
                )
            object.__setattr__(self, argument, tuple(dict.fromkeys(found)))
        for one in self.precisions or ():
            if one not in PRECISIONS:
                known = ", ".join(PRECISIONS)
                raise InvalidInputError(
                    f"unknown precision {quoted(one)}; there are {known}"
                )
