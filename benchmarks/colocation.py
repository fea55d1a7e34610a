"""What models lose by sharing a GPU: record it, and judge the prediction.

Record (a real Triton, a GPU, a repository of models; one sharing mode per run)::

    python -m benchmarks.colocation --record FILE --repository DIR --sharing mps

Every model is measured alone at two load points (under MPS with the kernel probe), then
sets of two to six models are measured together, a few of them twice, then the models
alone again. Half of the models are for fitting, the other half for judging; no set
mixes the two.

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
from typing import TYPE_CHECKING

# Also works as ``python benchmarks/colocation.py``: the repository is then not on the
# path.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from benchmarks.busy_report import (
    busy_errors,
    judge_busy,
    judging_half,
    recorded_halves,
)
from benchmarks.colocation_report import (
    Judgement,
    judge,
    judge_plans,
    read_sessions,
    retentions_both_ways,
)
from benchmarks.measuring_noise import percentile_beyond_noise
from benchmarks.pipelines_report import judge_pipelines
from benchmarks.quick_calibration_report import judge_quick_calibration
from benchmarks.round_robin_report import judge_round_robin
from gpupack.profiling import (
    DrivenModel,
    EmbeddedServer,
    InputOptions,
    KernelProbe,
    LoadProcess,
    MeasureOptions,
    ModelLoad,
    MpsDaemon,
    TritonServer,
    make_request_inputs,
    open_device,
)
from gpupack.records.environment import SharingMode
from gpupack.records.profile import LoadPoint
from gpupack.verifying.measurement import measure_set

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from gpupack.profiling import Device
    from gpupack.records.colocation import CoLocation

    Member = tuple[str, LoadPoint]

RESULTS = Path(__file__).parent / "results"
SET_SIZES = (2, 2, 3, 3, 3, 4, 4, 5, 6)
"""Sizes are drawn from here: small sets fit and large ones test the extremes."""
NUM_LIGHT = 8
"""Sets of each half with two or three models at their light load points: what
``min_retention`` puts together."""
NUM_REPEATS = 3
"""Sets of each half that are measured twice."""
SECONDS_PER_SOLO = 1.7
SECONDS_PER_SET = 2.7


def split(names: Collection[str]) -> tuple[list[str], list[str]]:
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
    for _ in range(num_sets * 50 if sizes else 0):
        if len(found) == num_sets:
            break
        chosen = sorted(rng.sample(list(names), sizes[len(found) % len(sizes)]))
        members = tuple((name, rng.choice(points[name])) for name in chosen)
        found.setdefault(members)
    return list(found)


def draw_light_sets(
    names: Sequence[str], points: dict[str, list[LoadPoint]], rng: random.Random
) -> list[tuple[Member, ...]]:
    """Return different random sets of two and three models at their light points."""
    light = {name: points[name][:1] for name in names}
    found = draw_sets(names, light, NUM_LIGHT * 3, rng)
    return [one for one in found if len(one) <= 3][:NUM_LIGHT]


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
        probe: KernelProbe | None,
    ) -> None:
        self._server = server
        self.device = device
        self._path = path
        self._sharing = sharing
        self._server_pid = server_pid
        self._processes = processes
        self._probe = probe
        self.measurements: list[CoLocation] = []

    def try_out(self, model: tuple[str, Sequence[LoadPoint]]) -> None:
        """Send one request at every load point: a first one may take seconds."""
        name, points = model
        signature = self._server.signature(name)
        for point in points:
            load = ModelLoad(
                signature,
                point,
                make_request_inputs(InputOptions(), signature, point.batch_size),
            )
            with DrivenModel(self._server, load, process=self._processes[name]):
                pass

    def measure(
        self, label: str, members: Sequence[Member], *, with_probe: bool = False
    ) -> CoLocation | None:
        """Measure one set; a failure is printed and leaves the others their turn."""
        options = MeasureOptions(
            half_width_ratio=0.03,
            percentile=50.0,
            min_duration_s=1.2 if len(members) == 1 else 1.8,
            max_duration_s=1.5 if len(members) == 1 else 2.0,
            warm_up_s=0.25,
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
                probe=self._probe if with_probe else None,
            )
        except Exception as err:
            print(f"failed: {label} {members}: {err}", flush=True)
            return None
        self.measurements.append(reading)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(reading.model_dump_json(exclude_none=True) + "\n")
        return reading


def load_points(
    server: TritonServer, names: Sequence[str], loaded: Sequence[str]
) -> dict[str, list[LoadPoint]]:
    """Return a light and a heavy load point of every loaded model.

    Heavy is the model's largest batch for every other model of a half, about half of
    it (on a logarithmic scale) for the rest.
    """
    points = {}
    for half in split(names):
        for index, name in enumerate(half):
            if name not in loaded:
                continue
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
        names = [model.name for model in server.repository()]
        known = [name for name in names if name not in arguments.without]
        fitting, judging = split(known)
        if arguments.half:
            fitting, judging = (
                half if label == arguments.half else []
                for label, half in (("fit", fitting), ("judge", judging))
            )
        names = [*fitting, *judging]
        with ThreadPoolExecutor(max_workers=len(names)) as pool:
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
            probe=KernelProbe(daemon.environment) if daemon else None,
        )
        points = load_points(server, known, names)
        with ThreadPoolExecutor(max_workers=len(names)) as pool:
            list(pool.map(recorder.try_out, points.items()))
        print(f"{time.monotonic() - started:.0f} s: tried out", flush=True)
        solos = [((name, point),) for name in names for point in points[name]]
        for solo in solos:
            recorder.measure("alone", solo, with_probe=True)
        print(f"{time.monotonic() - started:.0f} s: alone", flush=True)
        sets = _interleave(
            [("fit", one) for one in _sets_with_repeats(fitting, points, arguments)],
            [("judge", one) for one in _sets_with_repeats(judging, points, arguments)],
        )
        reserve = len(solos) * SECONDS_PER_SOLO
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
    print(f"{time.monotonic() - started:.0f} s: done", flush=True)


def _sets_with_repeats(
    names: Sequence[str],
    points: dict[str, list[LoadPoint]],
    arguments: argparse.Namespace,
) -> list[tuple[Member, ...]]:
    rng = random.Random(f"{arguments.seed}/{','.join(names)}")
    sets = draw_sets(names, points, arguments.num_sets // 2, rng)
    # In the middle: time may run out before the last set.
    middle = len(sets) // 2
    light = [one for one in draw_light_sets(names, points, rng) if one not in sets]
    return [*sets[:middle], *light, *sets[:NUM_REPEATS], *sets[middle:]]


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


def captured_models(captured: Judgement) -> int:
    """Return how many models the captured sets are of."""
    return len({key[0] for keys in captured.all_keys for key in keys})


def report(results: Path) -> dict[str, object]:
    """Return the figures over all judged sets, and of each recording by itself.

    Once networks are recorded that nothing was chosen by (``busy_new_*``, or else
    ``busy_fresh_*``), the first figures are over these alone. Until then errors of
    retention are over sets without host work (captured networks) and with it (networks
    that keep the GPU busy), and latencies over the latter. The earlier pipelines are
    told apart: they were measured by single rounds.
    """
    captured = judge(read_sessions(results))
    half = judging_half(results)
    busy = judge_busy(results, half=half)
    errors, noise = busy_errors(results, half=half)
    groups = [(errors, noise)]
    num_sets, num_models = busy["num_closed_sets"], busy["num_models"]
    num_judged = num_sets
    if half == "judge":
        points = 100 * (np.array(captured.predicted) - np.array(captured.measured))
        repeats = 100 * np.array(captured.repeats)
        errors = np.concatenate([points, errors])
        noise = np.concatenate([repeats, noise])
        # One reading's noise: the two of a distance have theirs each.
        groups = [(points, repeats / np.sqrt(2)), *groups]
        num_sets += len(captured.all_keys)
        num_judged += len(captured.set_keys)
        num_models += captured_models(captured)
    of_arrivals = {
        name: value
        for name, value in busy.items()
        if not name.startswith("retention") and name != "num_models"
    }
    return {
        **captured.to_json(),
        "judged_half": half,
        "mae_points": round(float(np.abs(errors).mean()), 2),
        "p95_points": round(float(np.percentile(np.abs(errors), 95)), 2),
        "p95_noise_points": round(float(np.percentile(noise, 95)), 2),
        "p95_points_beyond_noise": round(percentile_beyond_noise(groups, 95), 2),
        "bias_points": round(float(errors.mean()), 2),
        "repeat_mae_points": round(float(noise.mean()), 2),
        "num_sets": num_sets,
        "num_models": num_models,
        "num_judged_sets": num_judged,
        "num_judged_retentions": len(errors),
        "plans": judge_plans(results),
        **{
            name: value
            for name, value in of_arrivals.items()
            if name not in ("time_slicing", "mps")
        },
        "captured": captured.to_json(),
        **{
            name: busy if name == half else judge_busy(results, half=name)
            for name in recorded_halves(results)
            if name != "judge"
        },
        "busy": busy if half == "judge" else judge_busy(results),
        "pipelines": judge_pipelines(results),
        "quick_calibration": judge_quick_calibration(results),
        "time_slicing_forms": judge_round_robin(results),
    }


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
    parser.add_argument("--half", choices=("fit", "judge"), help="only these sets")
    parser.add_argument("--num-sets", type=int, default=62)
    parser.add_argument("--budget-s", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=6)
    arguments = parser.parse_args()
    if arguments.figure:
        from benchmarks.colocation_figure import draw

        sessions = read_sessions(arguments.results)
        draw(judge(sessions), retentions_both_ways(sessions), arguments.figure)
    elif arguments.report:
        print(json.dumps(report(arguments.results)))
    elif arguments.record and arguments.repository:
        record(arguments)
    else:
        parser.error("give --report, or --record FILE with --repository DIR")


if __name__ == "__main__":
    main()
