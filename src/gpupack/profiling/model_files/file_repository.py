"""A model repository made of model files, as Triton's Python backend serves it."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpupack.errors import InvalidInputError, StoreError
from gpupack.files import as_path
from gpupack.profiling.embedded import find_runtimes, install_runtimes
from gpupack.profiling.model_files.file_description import (
    NETWORK_MODULES,
    SERVED_FOLDER,
    describe_file,
)
from gpupack.profiling.model_files.file_kinds import (
    FileKind,
    names_of_paths,
    recognize,
)
from gpupack.profiling.server import (
    GPU_PROVIDERS,
    PRECISION,
    PROVIDER,
    ModelSetup,
    config_of_variant,
    config_text,
    variant_of_instances,
)
from gpupack.quoting import quoted
from gpupack.records.profile import ModelVariant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gpupack.files import AnyPath
    from gpupack.profiling.embedded import InstallProgress
    from gpupack.profiling.load import InputOptions
    from gpupack.profiling.model_files.file_description import FileDescription
    from gpupack.profiling.model_files.file_kinds import ModelFile
    from gpupack.profiling.model_files.file_options import ModelFileOptions

logger = logging.getLogger(__name__)

_VERSION = "1"
_CPU, _CUDA = "cpu", "cuda"
_SOURCE_LETTERS = 60


@dataclass(frozen=True)
class FileRepository:
    """A repository of model files, and what does not belong into it.

    Attributes:
        folder: The repository.
        python: The Python that its models run in.
        names: Of all models that were asked for, in their order.
        refused: Why a file cannot be served, by the name of its model.
        setups: How each model that can be served is loaded, one for each variant.
        shapes: Sizes of dynamic inputs, by ``model/input``.
        libraries: Versions of what runs the models, by package.
    """

    folder: Path
    python: Path
    names: tuple[str, ...]
    refused: Mapping[str, str]
    setups: Mapping[str, tuple[ModelSetup, ...]] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)

    @property
    def declaring(self) -> frozenset[str]:
        """The models whose configuration declares a batch."""
        return frozenset(
            name
            for name, (first, *_) in self.setups.items()
            if first.config and first.config["max_batch_size"] > 0
        )


def write_file_repository(
    paths: Sequence[AnyPath],
    folder: Path,
    *,
    options: ModelFileOptions,
    inputs: InputOptions,
    batch_sizes: Sequence[int],
    on_gpu: bool,
    num_instances: Sequence[int | None] = (None,),
    python: AnyPath | None = None,
    say: Callable[[str], None] = lambda text: None,
    install_progress: InstallProgress | None = None,
) -> FileRepository:
    """Read model files, and write those that can be served into a repository.

    Args:
        paths: The files and folders.
        folder: Where to write, if the options keep no repository.
        options: How they are served.
        inputs: Sizes of their dynamic inputs, and which axis is the batch.
        batch_sizes: What they will be measured with; the largest is what they take.
        on_gpu: Whether a GPU is measured.
        num_instances: Copies of each model, each count a variant; None for one that
            is not named.
        python: The Python to run them in; by default one that is made for it.
        say: Told which file is read.
        install_progress: Told about the installation of what runs them.

    Raises:
        InvalidInputError: Nothing was given, or the repository to keep is in use.
        ServerUnavailableError: What runs them cannot be had here.
        StoreError: The repository cannot be written.
    """
    given = [as_path(path) for path in paths]
    if not given:
        raise InvalidInputError("name at least one model file")
    names = names_of_paths(given)
    files, refused = [], {}
    for path, name in zip(given, names, strict=True):
        try:
            trusts = options.trust_remote_code
            files.append(recognize(path, name, trust_remote_code=trusts))
        except InvalidInputError as err:
            refused[name] = str(err)
    target = _target(options, folder)
    if not files:
        return FileRepository(target, Path(), tuple(names), refused)
    runs_in = _python(files, python, install_progress)
    providers = tuple(options.providers or ((_CUDA,) if on_gpu else (_CPU,)))
    if not on_gpu and set(providers) & set(GPU_PROVIDERS):
        raise InvalidInputError(
            f"{', '.join(sorted(set(providers) & set(GPU_PROVIDERS)))} computes on a "
            "GPU, and the host is measured here: leave the provider out, or name a GPU"
        )
    setups: dict[str, tuple[ModelSetup, ...]] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    libraries: dict[str, str] = {}
    for one in files:
        say(f"reading {one.path.name}")
        try:
            told = describe_file(
                one,
                python=runs_in,
                provider=providers[0],
                shapes=_shapes_of(one.name, inputs),
                trust_remote_code=options.trust_remote_code,
            )
            variants = [
                _variant(provider, precision, count, on_gpu=on_gpu)
                for provider in providers
                for precision in options.precisions or (told.precision,)
                for count in num_instances
            ]
            whole = _write(
                target,
                one,
                told,
                _config(one, told, inputs, max(batch_sizes)),
                variants[0],
                options=options,
            )
        except InvalidInputError as err:
            refused[one.name] = str(err)
            continue
        except OSError as err:
            raise StoreError(
                f"cannot write {one.name} into the repository {quoted(str(target))}: "
                f"{err.strerror or err}"
            ) from err
        setups[one.name] = tuple(ModelSetup(variant, whole) for variant in variants)
        libraries |= told.runtime
        for input_name, shape in told.shapes.items():
            shapes[f"{one.name}/{input_name}"] = shape
    return FileRepository(
        folder=target,
        python=runs_in,
        names=tuple(names),
        refused=refused,
        setups=setups,
        shapes=shapes,
        libraries=libraries,
    )


def _target(options: ModelFileOptions, folder: Path) -> Path:
    if options.keep_repository is None:
        return folder
    target = as_path(options.keep_repository)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise StoreError(
            f"cannot make the repository {quoted(str(target))}: {err.strerror}"
        ) from err
    return target.resolve()


def _python(
    files: Sequence[ModelFile],
    given: AnyPath | None,
    install_progress: InstallProgress | None,
) -> Path:
    """Return the Python that has what runs the files."""
    if given is not None:
        found = shutil.which(str(given))
        if found is None:
            raise InvalidInputError(
                f"no Python at {given} to run models in; name one with --server-python"
            )
        return Path(found)
    runtimes = tuple(dict.fromkeys(one.kind.runtime for one in files))
    installed = find_runtimes()
    if installed is None or not set(runtimes) <= set(installed.builds):
        logger.info("installing %s", ", ".join(one.full_name for one in runtimes))
    return install_runtimes(runtimes, progress=install_progress).python


def _shapes_of(name: str, inputs: InputOptions) -> dict[str, Sequence[int]]:
    """Return the shapes that may concern one model, by input name."""
    found: dict[str, Sequence[int]] = {}
    for key, shape in inputs.shapes.items():
        model_name, slash, input_name = key.rpartition("/")
        if not slash or model_name == name:
            found[input_name] = shape
    return found


def _variant(
    provider: str, precision: str, num_instances: int | None, *, on_gpu: bool
) -> ModelVariant:
    name = f"{provider}-{precision}"
    if num_instances is None:
        return ModelVariant(name=name, execution_provider=provider, precision=precision)
    counted = variant_of_instances(num_instances, on_gpu=on_gpu)
    return counted.model_copy(
        update={
            "name": f"{name}-{counted.name}",
            "execution_provider": provider,
            "precision": precision,
        }
    )


def _config(
    file: ModelFile, told: FileDescription, inputs: InputOptions, max_batch_size: int
) -> dict[str, Any]:
    """Return the configuration of a model file, all but its variant and its place."""
    asked = inputs.batch_dims.get(file.name, inputs.batch_dims.get("", 0))
    declares = told.is_batched and asked == 0
    first = 1 if declares else 0

    def tensors(some: Sequence[Any]) -> list[dict[str, Any]]:
        return [
            {
                "name": one.name,
                "data_type": "TYPE_"
                + ("STRING" if one.datatype == "BYTES" else one.datatype),
                "dims": list(one.dims[first:]) or [1],
                **({} if one.dims[first:] else {"reshape": {"shape": []}}),
            }
            for one in some
        ]

    return {
        "name": file.name,
        "backend": "python",
        "max_batch_size": max_batch_size if declares else 0,
        "input": tensors(told.inputs),
        "output": tensors(told.outputs),
    }


def _write(
    repository: Path,
    file: ModelFile,
    told: FileDescription,
    config: dict[str, Any],
    variant: ModelVariant,
    *,
    options: ModelFileOptions,
) -> dict[str, Any]:
    """Write one model's folder, and return its whole configuration."""
    folder = repository / file.name
    version = folder / _VERSION
    if folder.exists():
        if not (version / "network.py").is_file():
            raise InvalidInputError(
                f"{quoted(str(folder))} is there, and was not made by gpupack: keep "
                "the repository in another folder"
            )
        shutil.rmtree(folder)
    version.mkdir(parents=True)
    shutil.copy(SERVED_FOLDER / "triton_model.py", version / "model.py")
    network = f"{NETWORK_MODULES[file.kind.runtime]}.py"
    shutil.copy(SERVED_FOLDER / network, version / "network.py")
    place = str(file.path)
    if options.keep_repository is not None:
        place = file.path.name
        if file.kind is FileKind.CHECKPOINT:
            shutil.copytree(file.path, version / place)
        for name in told.files:
            (version / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file.path.parent / name, version / name)
    parameters = {
        "model_file": place,
        "kind": file.kind.value,
        "own_precision": told.precision,
        PROVIDER: _CPU,
        PRECISION: told.precision,
    }
    if options.trust_remote_code:
        parameters["trust_remote_code"] = "true"
    whole = config | {
        "parameters": {
            name: {"string_value": value} for name, value in parameters.items()
        }
    }
    whole = config_of_variant(whole, variant)
    runtime = ", ".join(f"{name} {one}" for name, one in told.runtime.items())
    (folder / "config.pbtxt").write_text(
        f"# Made by gpupack of {file.path.name[:_SOURCE_LETTERS]!r}; its Python needs "
        f"{runtime}.\n{config_text(whole)}"
    )
    return whole
