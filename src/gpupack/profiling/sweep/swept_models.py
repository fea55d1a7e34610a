"""What is swept: models of a repository, or model files that one is made of."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Self

from gpupack.arguments import names as names_of
from gpupack.arguments import require_kind, several
from gpupack.errors import InvalidInputError
from gpupack.profiling.model_files import ModelFileOptions, write_file_repository
from gpupack.profiling.server import ModelSetup, variant_of_instances
from gpupack.records.gpu import DeviceKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import ExitStack

    from gpupack.files import AnyPath
    from gpupack.profiling.embedded import InstallProgress
    from gpupack.profiling.load import InputOptions
    from gpupack.profiling.session import ServerOptions
    from gpupack.profiling.sweep.sweep_progress import SweepProgress


@dataclass(frozen=True)
class SweptModels:
    """The models of a sweep, and the server that they are on.

    Attributes:
        names: None for the whole repository.
        server: Where they are measured.
        inputs: What they are given.
        setups: How each is loaded, one for each variant; ``""`` for all others.
        refused: Why one cannot be served, by its name.
        libraries: Versions of what runs them, where that is known.
    """

    names: tuple[str, ...] | None
    server: ServerOptions
    inputs: InputOptions
    setups: Mapping[str, tuple[ModelSetup, ...]] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        models: AnyPath | Sequence[AnyPath] | None,
        stack: ExitStack,
        *,
        where: ServerOptions,
        files: ModelFileOptions | None,
        inputs: InputOptions,
        batch_sizes: Sequence[int],
        num_instances: Sequence[int],
        progress: SweepProgress | None,
        install_progress: InstallProgress | None,
    ) -> Self:
        """Return what a call of ``profile`` names.

        Args:
            models: Names, or paths where ``where`` has neither server nor repository.
            stack: Takes away a repository that is not kept.
            where: The server, or the repository.
            files: How model files are served.
            inputs: What the models are given.
            batch_sizes: What they will be measured with.
            num_instances: Copies of each model; none where its configuration says.
            progress: Told which file is read.
            install_progress: Told about the installation of what runs files.

        Raises:
            InvalidInputError: No model is named, or not one file can be served.
            ServerUnavailableError: What runs the files cannot be had here.
        """
        if files is not None:
            require_kind("files", files, ModelFileOptions, "a ModelFileOptions")
        if where.url is not None or where.model_repository is not None or not models:
            if files is not None:
                raise InvalidInputError(
                    "options for model files are given (files), but no model file: "
                    "name files, without a server and a model repository"
                )
            setups = _setups(where, num_instances) if num_instances else {}
            return cls(_model_names(models), where, inputs, setups)
        paths = _listed(models)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory("-gpupack")))
        made = write_file_repository(
            paths,
            folder,
            options=files or ModelFileOptions(),
            inputs=inputs,
            batch_sizes=batch_sizes,
            on_gpu=where.device().gpu_type.kind is DeviceKind.GPU,
            num_instances=num_instances or (None,),
            python=where.python,
            say=progress.working if progress is not None else lambda text: None,
            install_progress=install_progress,
        )
        if not made.setups:
            raise InvalidInputError("; ".join(made.refused.values()))
        return cls(
            names=made.names,
            server=replace(where, model_repository=made.folder, python=made.python),
            inputs=replace(
                inputs,
                shapes={**inputs.shapes, **made.shapes},
                batch_dims={
                    name: dim
                    for name, dim in inputs.batch_dims.items()
                    if name not in made.declaring
                },
            ),
            setups=made.setups,
            refused=made.refused,
            libraries=made.libraries,
        )


def _setups(
    where: ServerOptions, num_instances: Sequence[int]
) -> dict[str, tuple[ModelSetup, ...]]:
    on_gpu = where.device().gpu_type.kind is DeviceKind.GPU
    return {
        "": tuple(
            ModelSetup(variant_of_instances(count, on_gpu=on_gpu))
            for count in num_instances
        )
    }


def _listed(models: AnyPath | Sequence[AnyPath]) -> list[AnyPath]:
    """Return several models, of which one alone may be given as it is."""
    if isinstance(models, str | PathLike):
        return [models]
    return several("models", models, '["resnet50.onnx"]')


def _model_names(models: AnyPath | Sequence[AnyPath] | None) -> tuple[str, ...] | None:
    if models is None:
        return None
    found = names_of("models", [_text(one) for one in _listed(models)])
    if not found or not all(found):
        raise InvalidInputError(
            "name at least one model, or leave models out for the whole repository"
        )
    return tuple(dict.fromkeys(found))


def _text(name: AnyPath) -> str:
    return str(name) if isinstance(name, PathLike) else name
