"""What models lose by sharing a GPU: record it, and judge the prediction.

Record (a real Triton, a GPU, a repository of models; one sharing mode per run)::

    python -m benchmarks.colocation --record FILE --repository DIR --sharing mps

Every model is measured alone at two load points, then sets of two to six models are
measured together, a few of them twice, then the models alone again. Half of the
models are for fitting, the other half for judging; no set mixes the two.

Report (no GPU): ``python -m benchmarks.colocation --report`` recomputes the judged
figures from the records under ``benchmarks/results`` as one JSON line: over the judged
sets, mean absolute and 95th percentile error of retention in points, for the model and
for the plain rule "utilizations that sum to at most 100 % lose nothing", and by how
much repeating a set moved a retention.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

# Also works as ``python benchmarks/colocation.py``: the repository is then not on the
# path.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.colocation_figure import draw
from benchmarks.colocation_report import judge, read_measurements
from gpupack.deploy.measurement import measure_set
from gpupack.planning.calibration import fit_contention_factor, measured_sets
from gpupack.planning.place import place
from gpupack.profile_set import ProfileSet
from gpupack.profiling.discovery import open_device
from gpupack.profiling.embedded import EmbeddedServer
from gpupack.profiling.load import LoadProcess
from gpupack.profiling.measure import MeasureOptions
from gpupack.profiling.mps import MpsDaemon
from gpupack.profiling.settling import wait_until_settled
from gpupack.profiling.triton import TritonServer
from gpupack.records.calibration import Calibration
from gpupack.records.environment import SharingMode
from gpupack.records.profile import LoadPoint, ProfileRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.profiling.device import Device
    from gpupack.records.colocation import CoLocation

    Member = tuple[str, LoadPoint]

RESULTS = Path(__file__).parent / "results"
SET_SIZES = (2, 2, 3, 3, 3, 4, 4, 5, 6)
"""Sizes are drawn from here: small sets fit and large ones test the extremes."""
NUM_REPEATS = 5
"""Sets of each half that are measured twice."""
MIN_RETENTION = 0.9
SECONDS_PER_SOLO = 2.6
SECONDS_PER_SET = 3.6


def split(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the models for fitting and those for judging: every other one by name."""
    ordered = sorted(names)
    return ordered[::2], ordered[1::2]


def draw_sets(
    names: Sequence[str],
    points: dict[str, list[LoadPoint]],
    num_sets: int,
    rng: random.Random,
) -> list[tuple[Member, ...]]:
    """Return different random sets, each model at a random one of its load points."""
    found: dict[tuple[Member, ...], None] = {}
    sizes = [size for size in SET_SIZES if size <= len(names)]
    for _ in range(num_sets * 50):
        if len(found) == num_sets:
            break
        chosen = sorted(rng.sample(list(names), sizes[len(found) % len(sizes)]))
        members = tuple((name, rng.choice(points[name])) for name in chosen)
        found.setdefault(members)
    return list(found)


class Recorder:
    """Measures sets on one server and appends every reading to a file at once."""

    def __init__(
        self,
        server: TritonServer,
        device: Device,
        *,
        path: Path,
        sharing: SharingMode | None,
        server_pid: int,
        processes: dict[str, LoadProcess],
    ) -> None:
        self._server = server
        self.device = device
        self._path = path
        self._sharing = sharing
        self._server_pid = server_pid
        self._processes = processes
        self.measurements: list[CoLocation] = []

    def measure(self, label: str, members: Sequence[Member]) -> CoLocation | None:
        """Measure one set; a failure is printed and leaves the others their turn."""
        options = MeasureOptions(
            half_width_ratio=0.03,
            percentile=50.0,
            min_duration_s=1.8 if len(members) == 1 else 2.6,
            max_duration_s=2.6 if len(members) == 1 else 4.0,
            warm_up_s=0.4,
        )
        try:
            reading = measure_set(
                self._server,
                members,
                device=self.device,
                sharing_mode=self._sharing,
                label=label,
                options=options,
                server_pid=self._server_pid,
                processes=self._processes,
            )
        except Exception as err:
            print(f"failed: {label} {members}: {err}", flush=True)
            return None
        self.measurements.append(reading)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(reading.model_dump_json(exclude_none=True) + "\n")
        return reading


def load_points(
    server: TritonServer, names: Sequence[str]
) -> dict[str, list[LoadPoint]]:
    """Return a light and a heavy load point of every loaded model.

    Heavy is the model's largest batch for every other model of a half, about half of
    it (on a logarithmic scale) for the rest.
    """
    points = {}
    for half in split(names):
        for index, name in enumerate(half):
            most = max(1, server.signature(name).max_batch_size)
            middle = 2 ** (most.bit_length() // 2) if most > 2 else most
            points[name] = [
                LoadPoint(batch_size=1, concurrency=1),
                LoadPoint(batch_size=most if index % 2 else middle, concurrency=4),
            ]
    return points


def record(arguments: argparse.Namespace) -> None:
    """Measure everything once and write it down."""
    started = time.monotonic()
    deadline = started + arguments.budget_s
    sharing = SharingMode(arguments.sharing)
    with ExitStack() as stack:
        daemon = None
        if sharing is SharingMode.MPS:
            daemon = stack.enter_context(MpsDaemon())
        embedded = stack.enter_context(
            EmbeddedServer(
                arguments.repository,
                python=arguments.server_python,
                root=arguments.server_root,
                environment=daemon.environment if daemon else None,
            )
        )
        server = stack.enter_context(TritonServer(embedded.url))
        device = open_device(server_pid=embedded.pid)
        baseline = wait_until_settled(device.memory_used_bytes, quiet_s=0.5)
        names = [model.name for model in server.repository()]
        names = [name for name in names if name not in arguments.without]
        with ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(server.load, names))
        print(f"{time.monotonic() - started:.0f} s: {len(names)} models", flush=True)
        if daemon is not None and not daemon.server_pids():
            raise SystemExit(f"no model uses the MPS daemon: {daemon.log_tail()}")
        processes = {
            name: stack.enter_context(LoadProcess(server.url)) for name in names
        }
        recorder = Recorder(
            server,
            device,
            path=arguments.record,
            sharing=sharing,
            server_pid=embedded.pid,
            processes=processes,
        )
        points = load_points(server, names)
        solos = [((name, point),) for name in names for point in points[name]]
        fitting, judging = split(names)
        for solo in solos:
            recorder.measure("alone", solo)
        print(f"{time.monotonic() - started:.0f} s: alone", flush=True)
        sets = _interleave(
            [("fit", one) for one in _sets_with_repeats(fitting, points, arguments)],
            [("judge", one) for one in _sets_with_repeats(judging, points, arguments)],
        )
        reserve = len(solos) * SECONDS_PER_SOLO + arguments.verify_s
        num_sets = 0
        for label, members in sets:
            if time.monotonic() + SECONDS_PER_SET + reserve > deadline:
                print("out of time for more sets", flush=True)
                break
            recorder.measure(label, members)
            num_sets += 1
        print(f"{time.monotonic() - started:.0f} s: {num_sets} sets", flush=True)
        for solo in solos:
            recorder.measure("alone", solo)
        print(f"{time.monotonic() - started:.0f} s: alone again", flush=True)
        notes = verify_plans(server, recorder, points, sharing, deadline)
        notes["server_alone_bytes"] = baseline.memory_used_bytes
        arguments.record.with_suffix(".plans.json").write_text(json.dumps(notes))
    print(f"{time.monotonic() - started:.0f} s: done", flush=True)


def _sets_with_repeats(
    names: Sequence[str],
    points: dict[str, list[LoadPoint]],
    arguments: argparse.Namespace,
) -> list[tuple[Member, ...]]:
    rng = random.Random(f"{arguments.seed}/{','.join(names)}")
    sets = draw_sets(names, points, arguments.num_sets // 2, rng)
    return sets + sets[:NUM_REPEATS]


def _interleave(
    first: list[tuple[str, tuple[Member, ...]]],
    second: list[tuple[str, tuple[Member, ...]]],
) -> list[tuple[str, tuple[Member, ...]]]:
    """Take from both in turn, so that running out of time hits both alike."""
    longest = max(len(first), len(second))
    return [
        one[index]
        for index in range(longest)
        for one in (first, second)
        if index < len(one)
    ]


def verify_plans(
    server: TritonServer,
    recorder: Recorder,
    points: dict[str, list[LoadPoint]],
    sharing: SharingMode,
    deadline: float,
) -> dict[str, object]:
    """Plan all models for a retention of 0.9 from their solo readings, and run that.

    Every shared GPU of a light and of a heavy plan is measured with the other models
    loaded but idle; then the densest of them with nothing else on the GPU.

    Returns:
        The placements, and what the densest GPU's models took of its memory.
    """
    sets = measured_sets(recorder.measurements, labels=("alone", "fit"))
    factor, error = fit_contention_factor(sets)
    print(f"contention factor {factor:g}, fitted error {error:.3f}", flush=True)
    profiles = solo_profiles(recorder.measurements, factor, len(sets), sharing)
    densest: tuple[Member, ...] = ()
    notes: dict[str, object] = {"contention_factor": factor, "fitted_error": error}
    for position, label in enumerate(("plan light", "plan heavy")):
        placement = place(
            profiles,
            # Retention decides: these models take a twentieth of the GPU's memory.
            headroom={"gpu_utilization": 100.0},
            load_point={name: own[position] for name, own in points.items()},
            min_retention=MIN_RETENTION,
            sharing=sharing,
            time_limit_s=5.0,
        )
        print(f"{label}: {placement.num_gpus} GPUs, {placement.status}", flush=True)
        notes[label] = json.loads(placement.model_dump_json(exclude={"profiles"}))
        for gpu in placement.gpus:
            members = tuple((one.model_name, one.load_point) for one in gpu.assignments)
            if len(members) < 2 or time.monotonic() + SECONDS_PER_SET > deadline:
                continue
            recorder.measure(label, members)
            if len(members) > len(densest):
                densest = members
    if not densest:
        return notes
    kept = {name for name, _ in densest}
    for name in set(points) - kept:
        server.unload(name)
    settled = wait_until_settled(recorder.device.memory_used_bytes, quiet_s=1.5)
    notes["densest"] = [(name, str(point)) for name, point in densest]
    notes["densest_bytes"] = settled.memory_used_bytes
    for _ in range(2):
        recorder.measure("densest", densest)
    for member in densest:
        recorder.measure("densest alone", (member,))
    return notes


def solo_profiles(
    measurements: Sequence[CoLocation],
    factor: float,
    num_sets: int,
    sharing: SharingMode,
) -> ProfileSet:
    """Return the solo readings as profiles that place() can plan with."""
    readings: dict[tuple[str, str], list[CoLocation]] = {}
    for one in measurements:
        if one.label == "alone":
            readings.setdefault(one.models[0].key, []).append(one)
    records = tuple(
        ProfileRecord.with_reason(
            "not kept by this benchmark",
            model_name=found[0].models[0].model_name,
            load_point=found[0].models[0].load_point,
            gpu_type=found[0].gpu_type,
            environment=found[0].environment,
            throughput_infer_per_sec=fmean(
                one.models[0].throughput_infer_per_sec or 0.0 for one in found
            ),
            gpu_utilization_percent=max(
                one.gpu_utilization_percent or 0.0 for one in found
            ),
            gpu_utilization_mean_percent=fmean(
                one.gpu_utilization_mean_percent or 0.0 for one in found
            ),
            sm_utilization_percent=_mean_or_none(
                [one.sm_utilization_percent for one in found]
            ),
            num_model_instances=found[0].models[0].num_model_instances,
        )
        for found in readings.values()
    )
    environment = measurements[0].environment
    calibration = Calibration(
        gpu_type_name=measurements[0].gpu_type.name,
        sharing_mode=sharing,
        contention_factor=factor,
        num_sets=num_sets,
        environment=environment,
    )
    return ProfileSet(records=records, calibrations=(calibration,))


def _mean_or_none(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", action="store_true", help="print the figures")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--figure", type=Path, help="draw the judged sets there")
    parser.add_argument("--record", type=Path, help="JSON Lines file to append to")
    parser.add_argument("--repository", type=Path, help="Triton model repository")
    parser.add_argument("--sharing", default="time_slicing")
    parser.add_argument("--server-root", type=Path, default=None)
    parser.add_argument("--server-python", type=Path, default=None)
    parser.add_argument("--without", nargs="*", default=[], help="models to leave out")
    parser.add_argument("--num-sets", type=int, default=62)
    parser.add_argument("--budget-s", type=float, default=500.0)
    parser.add_argument("--verify-s", type=float, default=85.0)
    parser.add_argument("--seed", type=int, default=6)
    arguments = parser.parse_args()
    if arguments.figure:
        draw(judge(read_measurements(arguments.results)), arguments.figure)
    elif arguments.report:
        print(json.dumps(judge(read_measurements(arguments.results)).to_json()))
    elif arguments.record and arguments.repository:
        record(arguments)
    else:
        parser.error("give --report, or --record FILE with --repository DIR")


if __name__ == "__main__":
    main()
