"""Run the models of one GPU of a placement: each alone, then all together."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from gpupack.errors import InvalidInputError, LoadPointError, ServerError
from gpupack.profiling import (
    LOAD_TIMEOUT_S,
    ModelSetup,
    can_set_up,
    wait_until_settled,
)
from gpupack.verifying.measurement import measure_set
from gpupack.verifying.verdict import driven_assignments

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from gpupack.profiling import (
        Device,
        InputOptions,
        KernelProbe,
        MeasureOptions,
        ServerSession,
        TritonServer,
    )
    from gpupack.records.colocation import CoLocation
    from gpupack.records.environment import SharingMode
    from gpupack.records.placement import GpuPlacement
    from gpupack.records.profile import LoadPoint, ModelVariant
    from gpupack.records.request.arrivals import Arrivals

_MAX_LOADS_AT_ONCE = 4


class Member(NamedTuple):
    """One model instance of a GPU, and how it is driven."""

    model_name: str
    load_point: LoadPoint
    offered_infer_per_sec: float | None
    """The traffic planned for it; None drives it as fast as it answers."""


def gpu_members(gpu: GpuPlacement) -> tuple[Member, ...]:
    """Return the instances of a GPU that are sent requests."""
    return tuple(
        Member(
            one.model_name,
            one.load_point,
            one.load_point.offered_infer_per_sec
            if one.served_infer_per_sec is None
            else one.served_infer_per_sec,
        )
        for one in driven_assignments(gpu)
    )


@dataclass(frozen=True)
class GpuRun:
    """What came of running one GPU.

    Attributes:
        measurements: Every driven instance alone, then all together; none if a model
            failed.
        failures: By model name, how it failed.
    """

    measurements: tuple[CoLocation, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict)


def run_gpu(
    session: ServerSession,
    gpu: GpuPlacement,
    *,
    sharing_mode: SharingMode | None,
    inputs: InputOptions | None = None,
    options: MeasureOptions | None = None,
    load_timeout_s: float = LOAD_TIMEOUT_S,
    helpers: Collection[str] = (),
    probe: KernelProbe | None = None,
    arrivals: Arrivals | None = None,
    say: Callable[[str], None],
) -> GpuRun:
    """Load exactly one GPU's models, and measure each alone and all together.

    Replicas of one model on one GPU are instances of it, each with its own client. A
    ``probe`` runs beside each model that is measured alone. ``helpers`` are models
    that are loaded first, because others call them.
    """
    members = gpu_members(gpu)

    def measure(label: str, some: Sequence[Member]) -> CoLocation:
        say(f"GPU {gpu.gpu_index}: {', '.join(one.model_name for one in some)} {label}")
        return measure_set(
            session.server,
            [(one.model_name, one.load_point) for one in some],
            offered_infer_per_sec=[one.offered_infer_per_sec for one in some],
            device=session.device,
            sharing_mode=sharing_mode,
            label=label,
            inputs=inputs,
            options=options,
            server_pid=session.server_pid,
            probe=probe,
            arrivals=arrivals,
        )

    say(f"GPU {gpu.gpu_index}: loading {', '.join(sorted(set(gpu.models)))}")
    for some in (sorted(helpers), sorted(set(gpu.models).difference(helpers))):
        failures = _load(session, some, load_timeout_s, _variants(gpu))
        if failures:
            return GpuRun(failures=failures)
    try:
        alone = [measure("alone", [member]) for member in dict.fromkeys(members)]
        for name, num_replicas in Counter(gpu.models).items():
            if num_replicas > 1:
                failures = _multiply(session, name, num_replicas, load_timeout_s)
                if failures:
                    return GpuRun(failures=failures)
        together = [measure("together", members)] if len(members) > 1 else []
    except ServerError as err:
        message = session.explain(str(err))
        if isinstance(err, LoadPointError):
            return GpuRun(failures={err.model_name: message})
        return GpuRun(failures=dict.fromkeys(gpu.models, message))
    return GpuRun((*alone, *together))


def run_deployed_gpu(
    servers: Mapping[str, TritonServer],
    device: Device,
    gpu: GpuPlacement,
    *,
    sharing_mode: SharingMode | None,
    inputs: InputOptions | None = None,
    options: MeasureOptions | None = None,
    arrivals: Arrivals | None = None,
    say: Callable[[str], None],
) -> GpuRun:
    """Measure one GPU's models where they run: nothing is loaded or unloaded.

    Args:
        servers: By model, the one that has it loaded, with all its instances.
        device: Read beside the measurements.
        gpu: What was promised.
        sharing_mode: How the models' processes share the device.
        inputs: Where requests' data come from.
        options: How well to measure.
        arrivals: How requests of planned traffic arrive.
        say: Told what is being done.
    """
    members = gpu_members(gpu)
    failures = {}
    for name in sorted(set(gpu.models)):
        try:
            if name not in servers:
                failures[name] = "the deployment has no server for it"
            elif name not in servers[name].ready_models():
                failures[name] = f"{servers[name].url} does not have it loaded"
        except ServerError as err:
            failures[name] = str(err)
    if failures:
        return GpuRun(failures=failures)

    def measure(label: str, some: Sequence[Member]) -> CoLocation:
        say(f"GPU {gpu.gpu_index}: {', '.join(one.model_name for one in some)} {label}")
        return measure_set(
            servers[some[0].model_name],
            [(one.model_name, one.load_point) for one in some],
            offered_infer_per_sec=[one.offered_infer_per_sec for one in some],
            device=device,
            sharing_mode=sharing_mode,
            label=label,
            inputs=inputs,
            options=options,
            servers=servers,
            arrivals=arrivals,
        )

    try:
        alone = [measure("alone", [member]) for member in dict.fromkeys(members)]
        together = [measure("together", members)] if len(members) > 1 else []
    except LoadPointError as err:
        return GpuRun(failures={err.model_name: str(err)})
    except ServerError as err:
        return GpuRun(failures=dict.fromkeys(gpu.models, str(err)))
    return GpuRun((*alone, *together))


def clear_gpu(
    session: ServerSession,
    gpu: GpuPlacement,
    *,
    has_failed: bool,
    helpers: Collection[str] = (),
) -> None:
    """Leave the server without models, for the next GPU or its owner.

    What an ensemble consists of goes with it.

    Raises:
        ServerError: A model stays loaded, or the server is gone.
    """
    if session.embedded is not None and (has_failed or not session.embedded.is_running):
        session.recover()
        return
    for name in sorted(session.server.ready_models().intersection(gpu.models)):
        session.server.unload(name)
    for name in sorted(session.server.ready_models().intersection(helpers)):
        session.server.unload(name)
    wait_until_settled(session.device.memory_used_bytes)


def _variants(gpu: GpuPlacement) -> dict[str, ModelVariant]:
    """Return the variants that a server can set up by itself, by model."""
    return {
        one.model_name: variant
        for one in gpu.assignments
        if (variant := one.load_point.variant) is not None and can_set_up(variant)
    }


def _load(
    session: ServerSession,
    names: Sequence[str],
    timeout_s: float,
    variants: Mapping[str, ModelVariant],
) -> dict[str, str]:
    """Return how the models failed that did not load."""

    def load(name: str) -> str | None:
        try:
            if name in variants:
                setup = ModelSetup(variants[name])
                session.server.load_variant(name, setup, timeout_s=timeout_s)
            else:
                session.server.load(name, timeout_s=timeout_s)
        except (InvalidInputError, ServerError) as err:
            return str(err)
        return None

    pool = ThreadPoolExecutor(max_workers=_MAX_LOADS_AT_ONCE)
    try:
        found = dict(zip(names, pool.map(load, names), strict=True))
    finally:
        # After Ctrl-C a load that hangs must not be waited for: the server ends first.
        pool.shutdown(wait=False, cancel_futures=True)
    return {
        name: session.explain(message)
        for name, message in found.items()
        if message is not None
    }


def _multiply(
    session: ServerSession, name: str, factor: int, timeout_s: float
) -> dict[str, str]:
    try:
        session.server.multiply_instances(name, factor, timeout_s=timeout_s)
    except ServerError as err:
        return {name: session.explain(f"{factor} instances: {err}")}
    return {}
