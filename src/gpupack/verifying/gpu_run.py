"""Run the models of one GPU of a placement: each alone and all together, in rounds."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError, LoadPointError, ServerError
from gpupack.profiling import (
    LOAD_TIMEOUT_S,
    ModelSetup,
    RestartWatch,
    can_set_up,
    wait_until_settled,
)
from gpupack.verifying.block_clients import MeasuredGpu, lead_in_s
from gpupack.verifying.round_options import Member
from gpupack.verifying.rounds import RestartedError, Rounds
from gpupack.verifying.verdict import driven_assignments

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from gpupack.profiling import (
        Device,
        InputOptions,
        KernelProbe,
        ServerSession,
        TritonServer,
    )
    from gpupack.records.colocation import CoLocation
    from gpupack.records.environment import SharingMode
    from gpupack.records.placement import GpuPlacement
    from gpupack.records.profile import ModelVariant
    from gpupack.records.request.arrivals import Arrivals
    from gpupack.verifying.round_options import RoundOptions

    FindUndecided = Callable[[Sequence[CoLocation]], Collection[int]]
    """Returns the places of the driven instances whose promises are not decided."""

_MAX_LOADS_AT_ONCE = 4


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


def lead_of(gpu: GpuPlacement) -> float:
    """Return how long planned traffic arrives before a block, by what is planned.

    By the slowest of its models, and by what all take of the GPU together.
    """
    busy_of_gpu, longest_s, busiest = 0.0, 0.0, 0.0
    for one in driven_assignments(gpu):
        sent, most = one.served_infer_per_sec, one.throughput_infer_per_sec
        if not sent or not most:
            continue
        longest_s = max(longest_s, one.load_point.batch_size / most)
        busiest = max(busiest, sent / most)
        # Utilizations are those of the traffic.
        busy_of_gpu += (one.gpu_utilization_percent or 0.0) / 100
    return lead_in_s(longest_s, max(busiest, busy_of_gpu))


@dataclass(frozen=True)
class GpuRun:
    """What came of running one GPU.

    Attributes:
        measurements: Every driven instance alone, then all together; none if a model
            failed, or the server was restarted.
        failures: By model name, how it failed.
        restarted: What shows that the server was restarted in between, so that nothing
            can be said; None if it was not.
        notes: What a reader of the verdicts should know.
    """

    measurements: tuple[CoLocation, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict)
    restarted: str | None = None
    notes: tuple[str, ...] = ()


def run_gpu(
    session: ServerSession,
    gpu: GpuPlacement,
    *,
    sharing_mode: SharingMode | None,
    inputs: InputOptions,
    options: RoundOptions,
    find_undecided: FindUndecided,
    load_timeout_s: float = LOAD_TIMEOUT_S,
    helpers: Collection[str] = (),
    probe: KernelProbe | None = None,
    arrivals: Arrivals | None = None,
    demand: Mapping[str, float] | None = None,
    say: Callable[[str], None],
) -> GpuRun:
    """Load exactly one GPU's models, and measure each alone and all together.

    Replicas of one model on one GPU are instances of it, each with its own client; such
    a model is measured alone before its replicas are loaded.

    Args:
        session: A server without models, and the GPU it is on.
        gpu: What the placement has there.
        sharing_mode: How the models share it, for the measurements' environment.
        inputs: What requests are made of.
        options: How long and how often is measured.
        find_undecided: Returns the instances of which more must be known.
        load_timeout_s: For each model.
        helpers: Models that are loaded first, because others call them.
        probe: Runs beside each model that is measured alone; None for none.
        arrivals: How the requests of planned traffic arrive.
        demand: In infer/sec, of all replicas of a model together.
        say: Called in words with what is being done.
    """
    members = gpu_members(gpu)
    say(f"GPU {gpu.gpu_index}: loading {', '.join(sorted(set(gpu.models)))}")
    for some in (sorted(helpers), sorted(set(gpu.models).difference(helpers))):
        failures = _load(session, some, load_timeout_s, _variants(gpu))
        if failures:
            return GpuRun(failures=failures)
    replicated = {name for name, count in Counter(gpu.models).items() if count > 1}
    watch: RestartWatch | None = None
    try:
        watch = RestartWatch(dict.fromkeys(gpu.models, session.server))
        rounds = Rounds(
            MeasuredGpu(
                gpu.gpu_index,
                session.server,
                session.device,
                sharing_mode,
                inputs,
                options,
                say,
                watch,
                arrivals=arrivals,
                lead_s=lead_of(gpu),
                demand=demand or {},
                server_pid=session.server_pid,
                probe=probe,
                own_pids=session.own_pids,
            ),
            members,
            find_undecided,
        )
        different = dict.fromkeys(members)
        before = [one for one in different if one.model_name in replicated]
        if before:
            rounds.measure_before(before)
        for name in sorted(replicated):
            failures = _multiply(session, name, gpu.models.count(name), load_timeout_s)
            if failures:
                return GpuRun(failures=failures)
            watch.expect_reload(name)
        found = rounds.measure([one for one in different if one not in before])
        return GpuRun(found, notes=rounds.notes)
    except RestartedError as err:
        return GpuRun(restarted=str(err))
    except ServerError as err:
        return _failed(err, gpu, watch, session.explain)


def run_deployed_gpu(
    servers: Mapping[str, TritonServer],
    device: Device,
    gpu: GpuPlacement,
    *,
    sharing_mode: SharingMode | None,
    inputs: InputOptions,
    options: RoundOptions,
    find_undecided: FindUndecided,
    arrivals: Arrivals | None = None,
    demand: Mapping[str, float] | None = None,
    say: Callable[[str], None],
) -> GpuRun:
    """Measure one GPU's models where they run: nothing is loaded or unloaded.

    Args:
        servers: By model, the one that has it loaded, with all its instances.
        device: Read beside the measurements.
        gpu: What was promised.
        sharing_mode: How the models' processes share the device.
        inputs: Where requests' data come from.
        options: Until when to measure.
        find_undecided: Which promises the measurements so far do not decide.
        arrivals: How requests of planned traffic arrive.
        demand: In infer/sec, of all replicas of a model together.
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
    if failures or not members:
        return GpuRun(failures=failures)
    watch: RestartWatch | None = None
    try:
        watch = RestartWatch({name: servers[name] for name in gpu.models})
        rounds = Rounds(
            MeasuredGpu(
                gpu.gpu_index,
                servers[members[0].model_name],
                device,
                sharing_mode,
                inputs,
                options,
                say,
                watch,
                arrivals=arrivals,
                lead_s=lead_of(gpu),
                demand=demand or {},
                servers=servers,
            ),
            members,
            find_undecided,
        )
        return GpuRun(rounds.measure(list(dict.fromkeys(members))))
    except RestartedError as err:
        return GpuRun(restarted=str(err))
    except ServerError as err:
        return _failed(err, gpu, watch, lambda message: message)


def _failed(
    err: ServerError,
    gpu: GpuPlacement,
    watch: RestartWatch | None,
    explain: Callable[[str], str],
) -> GpuRun:
    """Return what an error in the middle of a measurement means."""
    restarted = None if watch is None else watch.find_restart()
    if restarted is not None:
        return GpuRun(restarted=f"{restarted} ({err})")
    message = explain(str(err))
    if isinstance(err, LoadPointError):
        return GpuRun(failures={err.model_name: message})
    return GpuRun(failures=dict.fromkeys(gpu.models, message))


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
