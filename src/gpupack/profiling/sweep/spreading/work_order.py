"""What the process of one GPU is told: everything that a sweep there needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpupack.profiling.server import ModelSetup
from gpupack.profiling.sweep.model_unit import ModelUnits
from gpupack.profiling.sweep.several_loads import SweepInLoads
from gpupack.records.request.arrivals import POISSON, Arrivals

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gpupack.profiling.load import InputOptions
    from gpupack.profiling.measuring import MeasureOptions
    from gpupack.profiling.session import ServerOptions, ServerSession
    from gpupack.profiling.sweep.sweep_progress import SweepProgress
    from gpupack.profiling.sweep.sweep_store import SweepStore
    from gpupack.records.environment import SharingMode
    from gpupack.records.profile import LoadPoint


@dataclass(frozen=True)
class WorkOrder:
    """The sweep of one ``profile`` call, but for its session, store and progress.

    Plain values, so that it travels to other processes.
    """

    server: ServerOptions
    points: Sequence[LoadPoint]
    options: MeasureOptions
    inputs: InputOptions
    strict: bool = False
    retry_failed: bool = False
    retry_unstable: bool = False
    helpers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    versions: Mapping[str, int] = field(default_factory=dict)
    sharing_mode: SharingMode | None = None
    probe: bool | None = None
    command: str | None = None
    setups: Mapping[str, Sequence[ModelSetup]] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)
    arrivals: Arrivals = POISSON
    loads: int | None = 1

    def sweep(
        self, session: ServerSession, store: SweepStore, progress: SweepProgress
    ) -> SweepInLoads:
        """Return the sweep on a session."""
        return SweepInLoads(
            session,
            store,
            points=self.points,
            options=self.options,
            inputs=self.inputs,
            strict=self.strict,
            units=ModelUnits(
                session,
                helpers=self.helpers,
                versions=self.versions,
                load_timeout_s=self.server.load_timeout_s,
            ),
            retry_failed=self.retry_failed,
            retry_unstable=self.retry_unstable,
            sharing_mode=self.sharing_mode,
            command=self.command,
            progress=progress,
            setups=self.setups,
            refused=self.refused,
            libraries=self.libraries,
            arrivals=self.arrivals,
            loads=self.loads,
        )

    def points_of(self, name: str) -> list[LoadPoint]:
        """Return the load points of a model, variant after variant."""
        setups = self.setups.get(name) or self.setups.get("") or (ModelSetup(),)
        return [
            point.model_copy(update={"variant": setup.variant})
            for setup in setups
            for point in self.points
        ]

    def to_do(
        self, names: Iterable[str], store: SweepStore
    ) -> dict[str, list[LoadPoint]]:
        """Return the load points that a store does not hold, by model."""
        return {
            name: [
                point
                for point in self.points_of(name)
                if not store.is_finished(
                    name,
                    point,
                    retry_failed=self.retry_failed,
                    retry_unstable=self.retry_unstable,
                    num_loads=self.loads,
                )
            ]
            for name in names
        }
