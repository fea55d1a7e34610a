"""The options by which ``profile`` says how model files are served."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpupack.cli.options.asked import completed_by
from gpupack.cli.options.groups import takes_options
from gpupack.errors import InvalidInputError

if TYPE_CHECKING:
    from gpupack.profiling import ModelFileOptions

ModelFilesArgument = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[FILE]…",
        help="Model files: ONNX, TorchScript, programs of torch.export (.pt2), folders "
        "of Hugging Face checkpoints. Left out for the models of a repository.",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class ModelFiles:
    """Model files, and how they are served; None where there are none."""

    paths: tuple[Path, ...]
    options: ModelFileOptions | None


def model_file_options(
    *,
    files: ModelFilesArgument = None,
    provider: Annotated[
        str | None,
        typer.Option(
            help="For model files: execution providers, each a variant of its own, "
            "such as cpu,cuda,tensorrt; cuda on a GPU, cpu on the host if left out.",
            autocompletion=completed_by(("cpu", "cuda", "tensorrt")),
        ),
    ] = None,
    model_precision: Annotated[
        str | None,
        typer.Option(
            help="For model files: precisions of the weights, each a variant of its "
            "own, such as fp32,fp16; the file's own if left out.",
            autocompletion=completed_by(("fp32", "fp16", "bf16", "int8")),
        ),
    ] = None,
    keep_repository: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep the repository that is made of model files, with copies of "
            "them.",
        ),
    ] = None,
    trust_remote_code: Annotated[
        bool,
        typer.Option(
            "--trust-remote-code", help="For checkpoints: run code that they bring."
        ),
    ] = False,
) -> ModelFiles:
    """Return what the options about model files mean together.

    Raises:
        InvalidInputError: If options for model files are given without one.
    """
    from gpupack.profiling import ModelFileOptions

    given = {
        "--provider": provider,
        "--model-precision": model_precision,
        "--keep-repository": keep_repository,
        "--trust-remote-code": trust_remote_code or None,
    }
    if not files:
        unused = [name for name, value in given.items() if value is not None]
        if unused:
            raise InvalidInputError(
                f"{', '.join(unused)}: for model files; name at least one, such as "
                "resnet50.onnx"
            )
        return ModelFiles((), None)
    options = ModelFileOptions(
        providers=None if provider is None else provider.split(","),
        precisions=None if model_precision is None else model_precision.split(","),
        keep_repository=keep_repository,
        trust_remote_code=trust_remote_code,
    )
    return ModelFiles(tuple(files), options)


takes_model_file_options = takes_options(model_file_options, into="model_files")
"""Give a command these options, read into its ``model_files``."""
