"""What a call asks to be measured: its arguments, as given and checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self, TypedDict

from gpupack.arguments import names as names_of
from gpupack.arguments import require_kind, takes_keywords
from gpupack.errors import InvalidInputError
from gpupack.given_numbers import whole_number
from gpupack.profiling.load import InputOptions
from gpupack.profiling.measuring import MeasureOptions
from gpupack.profiling.session import ServerOptions
from gpupack.profiling.sweep.exports import prepare_folder
from gpupack.profiling.sweep.loads import checked_loads
from gpupack.profiling.sweep.point_grid import load_points
from gpupack.profiling.sweep.spreading import WorkOrder
from gpupack.profiling.sweep.sweep_progress import SilentProgress
from gpupack.quoting import quoted
from gpupack.records.environment import SharingMode
from gpupack.records.request.arrivals import POISSON, Arrivals, as_arrivals
from gpupack.store import PROFILE_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gpupack.files import AnyPath
    from gpupack.profiling.embedded import EmbeddedServer
    from gpupack.profiling.model_files import ModelFileOptions
    from gpupack.profiling.sweep.sweep_progress import SweepProgress
    from gpupack.profiling.sweep.swept_models import SweptModels
    from gpupack.records.profile import LoadPoint


class SweepArguments(TypedDict, total=False):
    """The keyword arguments of ``profile`` and ``profile_on_ray``."""

    server: ServerOptions | EmbeddedServer | str | None
    model_repository: AnyPath | None
    batch_sizes: Sequence[int]
    concurrency: Sequence[int] | None
    request_rates: Sequence[float] | None
    arrivals: Arrivals | str | None
    instances: Sequence[int] | int | None
    loads: int | None
    gpus: int | str | Sequence[int | str] | None
    store: Path | str | None
    export_path: Path | str | None
    strict: bool
    options: MeasureOptions | None
    inputs: InputOptions | None
    files: ModelFileOptions | None
    retry_failed: bool
    retry_unstable: bool
    helpers: Mapping[str, str | Sequence[str]] | None
    versions: Mapping[str, int] | int | None
    sharing: SharingMode | str | None
    probe: bool | None
    command: str | None
    progress: SweepProgress | None


takes_sweep_arguments = takes_keywords(
    SweepArguments,
    {
        "batch_sizes": (1, 2, 4),
        "strict": False,
        "retry_failed": False,
        "retry_unstable": False,
    },
)
"""Let a function that takes ``**asked`` show those arguments, and insist on them."""


@dataclass(frozen=True)
class AskedSweep:
    """One sweep, whichever machines measure it.

    Plain values but for ``progress``, so that it travels to other processes.
    """

    where: ServerOptions
    points: tuple[LoadPoint, ...]
    arrivals: Arrivals | None = None
    instances: tuple[int, ...] = ()
    loads: int | None = 1
    """Of each load point; None finds out how many it takes."""
    files: ModelFileOptions | None = None
    options: MeasureOptions = field(default_factory=MeasureOptions)
    inputs: InputOptions = field(default_factory=InputOptions)
    store: AnyPath | None = None
    export_path: AnyPath | None = None
    strict: bool = False
    retry_failed: bool = False
    retry_unstable: bool = False
    helpers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    versions: Mapping[str, int] = field(default_factory=dict)
    sharing: SharingMode | None = None
    probe: bool | None = None
    command: str | None = None
    progress: SweepProgress = field(default_factory=SilentProgress)

    @classmethod
    def of(cls, asked: SweepArguments, *, gpu: int | str | None = None) -> Self:
        """Return what arguments ask, checked; the folder for exports is made.

        Args:
            asked: The arguments.
            gpu: What the server is measured on, where an argument says it.

        Raises:
            InvalidInputError: If one cannot be used.
            StoreError: If the folder for exports cannot be.
        """
        given = asked.get("arrivals")
        arrivals = None if given is None else as_arrivals(given)
        points = load_points(
            asked.get("batch_sizes", (1, 2, 4)),
            asked.get("concurrency"),
            asked.get("request_rates"),
            arrivals,
        )
        instances = _instances(asked.get("instances"))
        loads = checked_loads(asked.get("loads"))
        options = asked.get("options") or MeasureOptions()
        require_kind("options", options, MeasureOptions, "a MeasureOptions")
        options.check()
        where = ServerOptions.of(
            asked.get("server"),
            model_repository=asked.get("model_repository"),
            gpu=gpu,
        )
        store: AnyPath | None = asked.get("store")
        export_path = asked.get("export_path")
        if export_path is not None:
            # Before anything is measured: a sweep must not end in a folder it cannot
            # use.
            folder = prepare_folder(export_path)
            store = folder / PROFILE_FILE if store is None else store
        sharing = asked.get("sharing")
        return cls(
            where=where,
            points=points,
            arrivals=arrivals,
            instances=instances,
            loads=loads,
            files=asked.get("files"),
            options=options,
            inputs=asked.get("inputs") or InputOptions(),
            store=store,
            export_path=export_path,
            strict=asked.get("strict", False),
            retry_failed=asked.get("retry_failed", False),
            retry_unstable=asked.get("retry_unstable", False),
            helpers={
                name: names_of(f"helpers of {name}", some)
                for name, some in (asked.get("helpers") or {}).items()
            },
            versions=_versions(asked.get("versions")),
            sharing=None if sharing is None else SharingMode.parse(sharing),
            probe=asked.get("probe"),
            command=asked.get("command"),
            progress=asked.get("progress") or SilentProgress(),
        )

    @property
    def batch_sizes(self) -> list[int]:
        """What models are measured with."""
        return sorted({one.batch_size for one in self.points})

    def order(self, swept: SweptModels) -> WorkOrder:
        """Return the work on the models that are swept."""
        return WorkOrder(
            swept.server,
            self.points,
            self.options,
            swept.inputs,
            strict=self.strict,
            retry_failed=self.retry_failed,
            retry_unstable=self.retry_unstable,
            helpers=self.helpers,
            versions=self.versions,
            sharing_mode=self.sharing,
            probe=self.probe,
            command=self.command,
            setups=swept.setups,
            refused=swept.refused,
            libraries=swept.libraries,
            arrivals=self.arrivals or POISSON,
            loads=self.loads,
        )


def _versions(versions: Mapping[str, int] | int | None) -> dict[str, int]:
    given = {"": versions} if isinstance(versions, int) else dict(versions or {})
    for name, value in given.items():
        number = whole_number(value)
        if number is None or number < 1:
            raise InvalidInputError(
                f"a version is a whole number of at least 1, got {quoted(value)}"
                + (f" for {name}" if name else "")
            )
        given[name] = number
    return given


def _instances(instances: Sequence[int] | int | None) -> tuple[int, ...]:
    given = [instances] if isinstance(instances, int) else list(instances or ())
    counts = [whole_number(one) for one in given]
    for value, count in zip(given, counts, strict=True):
        if count is None or count < 1:
            raise InvalidInputError(
                f"a model has a whole number of instances from 1, got {quoted(value)}"
            )
    return tuple(dict.fromkeys(one for one in counts if one is not None))
