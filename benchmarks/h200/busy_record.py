"""Record how networks that keep the GPU busy get on: retention, and p99 of arrivals.

    python -m benchmarks.h200.busy_record OUT --networks fresh --sharing mps

All networks of a half (``busy``) are loaded side by side. Each is measured alone (under
MPS with the kernel probe), and again later: both give its profile. Sets run in closed
loops, in rounds in which every member runs alone and all together, in drawn order: a
few rounds for every set, and more for those of which least is known. Then sets get
Poisson traffic: 0.2 to 0.65 of what the GPU is predicted to bear, and plans made for
limits of p99. OUT gets ``busy_NETWORKS_SHARING.jsonl``: profile records, then one row
per visit to a set, each as soon as it is measured. The time is kept whatever happens.
Networks time a little arithmetic of the host's before each request; a round
has the mean of it for every member, alone and together (``host_us``), to tell the
host's changes of speed from the GPU's doing. ``--cpu`` tries it without a GPU.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.h200.busy import (
    FITTING,
    FRESH,
    JUDGING,
    NEW,
    SMALL,
    write_networks,
)
from benchmarks.h200.closed_sets import ClosedCampaign, Round, order_of_phases
from benchmarks.h200.host_speed import WRITE_EVERY_S, HostSpeedReadings
from benchmarks.h200.latency_record import draw_traffic
from benchmarks.h200.set_recorder import SetRecorder, loaded_models
from gpupack.planning.contention import (
    LatencyLimits,
    RetentionRule,
    resolve_contention,
)
from gpupack.planning.contention.retention import cautious_retention
from gpupack.profile_set import ProfileSet
from gpupack.profiling import DrivenModel, LoadProcess
from gpupack.profiling.load import wait_any
from gpupack.profiling.measuring.interval import throughput_requests_per_s

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.h200.set_recorder import LoadedModels
    from gpupack.planning.contention import Contention
    from gpupack.profiling import Measurement
    from gpupack.records.profile import ProfileRecord

NETWORKS = {
    "fit": FITTING,
    "judge": JUDGING,
    "fresh": FRESH,
    "new": NEW,
    "small": SMALL,
}
PROMISED = 0.8
LIMITS = (4.0, 6.0, 5.0, 3.0)
"""Limits of p99, in multiples of each model's p99 alone, plan by plan."""
BORNE = 0.8
"""Planned traffic ÷ what the GPU bears, at most."""
LEAST_PER_S = 55.0
"""Requests of a planned model, where it can: enough for a p99."""
BEARABLE = (0.2, 0.35, 0.5, 0.65)
"""Traffic of drawn sets ÷ what the GPU bears, one after the other."""
SETTLE_S = 0.1
ALONE_S, TOGETHER_S = 0.3, 0.5
"""Lengths of one round of a closed set, at least."""
ALONE_REQUESTS, TOGETHER_REQUESTS = 12, 15
"""A slow model's parts of a round are twice as long at most, to hold so many."""
STOP_S = 12.0
"""The server may take so long to end."""


Window = tuple[int, int]
"""Begin and end of a reading of rates, in nanoseconds on the monotonic clock."""


@dataclass(frozen=True)
class _Windows:
    """When the members of one round were measured, in the set's order."""

    alone: tuple[Window, ...]
    together: Window


class BusyRecorder(SetRecorder):
    """Measures in rounds, too, so that a drift of the host cancels."""

    def __init__(
        self,
        models: LoadedModels,
        path: Path,
        *,
        started_s: float,
        processes: Mapping[str, LoadProcess],
        host_speed: HostSpeedReadings,
    ) -> None:
        super().__init__(
            models,
            path,
            command="benchmarks.h200.busy_record",
            make_row=set_row,
            started_s=started_s,
            processes=processes,
        )
        self._clients = processes
        self._host_speed = host_speed

    def visit(
        self, members: Sequence[str], num_rounds: int, order: random.Random
    ) -> list[Round]:
        """Run rounds of one set, write and return those that came out."""
        found: list[tuple[Round, _Windows]] = []
        try:
            self._rounds(members, num_rounds, order, found)
        except Exception as err:
            self.say(f"failed: closed {members}: {err}")
        if found:
            # The last readings of the host are on their way to the file.
            time.sleep(1.5 * WRITE_EVERY_S)
            self.append(
                {
                    "kind": "busy_set",
                    "label": "closed",
                    "measured_at": time.time(),
                    "models": list(members),
                    "rounds": [
                        {
                            "alone": [round(rate, 3) for rate in one.alone],
                            "together": [round(rate, 3) for rate in one.together],
                            "at_s": round(one.at_s, 1),
                            "host_us": {
                                "alone": [
                                    self._host_us(name, window)
                                    for name, window in zip(
                                        members, windows.alone, strict=True
                                    )
                                ],
                                "together": [
                                    self._host_us(name, windows.together)
                                    for name in members
                                ],
                            },
                        }
                        for one, windows in found
                    ],
                }
            )
        return [one for one, _ in found]

    def _host_us(self, name: str, window: Window) -> float | None:
        found = self._host_speed.mean_us(name, *window)
        return None if found is None else round(found, 2)

    def _rounds(
        self,
        members: Sequence[str],
        num_rounds: int,
        order: random.Random,
        found: list[tuple[Round, _Windows]],
    ) -> None:
        speeds = [self.speed(name) for name in members]
        together_s = _at_most_twice(TOGETHER_S, TOGETHER_REQUESTS / min(speeds))
        with ExitStack() as stack:
            driven = [
                stack.enter_context(
                    DrivenModel(
                        self.models.server,
                        self.load_of(name),
                        process=self._clients[name],
                    )
                )
                for name in members
            ]
            for phases in order_of_phases(len(members), num_rounds, order):
                at_s = time.monotonic() - self.started_s
                alone = [0.0] * len(members)
                together: list[float] = []
                alone_windows = [(0, 0)] * len(members)
                window = (0, 0)
                for phase in phases:
                    if phase is None:
                        together, window = self._rate(driven, together_s)
                        continue
                    alone_s = _at_most_twice(ALONE_S, ALONE_REQUESTS / speeds[phase])
                    (alone[phase],), alone_windows[phase] = self._rate(
                        [driven[phase]], alone_s
                    )
                if min(alone) > 0:
                    found.append(
                        (
                            Round(tuple(alone), tuple(together), at_s),
                            _Windows(tuple(alone_windows), window),
                        )
                    )

    def speed(self, name: str) -> float:
        """Return a model's requests per second alone, as last measured."""
        return self._alone[name].loads[0].throughput_infer_per_sec or 1.0

    def _rate(
        self, driven: Sequence[DrivenModel], seconds: float
    ) -> tuple[list[float], Window]:
        for model in driven:
            model.start()
        begin_ns = time.monotonic_ns() + round(SETTLE_S * 1e9)
        end_ns = begin_ns + round(seconds * 1e9)
        while time.monotonic_ns() < end_ns:
            wait_any([model.process for model in driven], 0.05)
            for model in driven:
                model.process.collect()
        for model in driven:
            model.process.stop()
        found = []
        for model in driven:
            ends, _ = model.process.trace.completions()
            inside = ends[(ends >= begin_ns) & (ends <= end_ns)]
            found.append(throughput_requests_per_s(inside) or 0.0)
        return found, (begin_ns, end_ns)


def _at_most_twice(seconds: float, wanted_s: float) -> float:
    return min(2 * seconds, max(seconds, wanted_s))


def set_row(label: str, found: Measurement, more: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a row says of a measured set, with every latency."""
    readings = found.readings
    return {
        "kind": "busy_set",
        "label": label,
        "measured_at": time.time(),
        "duration_s": round(found.duration_s, 3),
        "gpu_utilization_mean_percent": readings.gpu_utilization_mean_percent,
        "sm_utilization_percent": readings.sm_utilization_percent,
        "power_mean_watts": readings.power_mean_watts,
        "server_cpu_percent": found.server_cpu_percent,
        **more,
        "models": [
            {
                "model_name": one.load.signature.name,
                "offered_infer_per_sec": one.load.offered_infer_per_sec,
                "throughput_infer_per_sec": one.throughput_infer_per_sec,
                "open_loop": (
                    None if one.open_loop is None else one.open_loop.model_dump()
                ),
                "latencies_us": np.round(one.latencies_us).astype(int).tolist(),
            }
            for one in found.loads
        ],
    }


def draw_closed_sets(
    records: Sequence[ProfileRecord],
    contention: Contention,
    num_sets: int,
    chance: random.Random,
) -> list[tuple[int, ...]]:
    """Return different sets: a third of any kind, the others such as plans make.

    Those are predicted to keep 0.8 of each model's throughput, with the margin.
    """
    rule = RetentionRule(records, contention, {})
    everything = range(len(records))
    found: dict[tuple[int, ...], None] = {}
    for turn in range(50 * num_sets):
        if len(found) >= num_sets // 3:
            break
        size = min((2, 3, 4, 3, 5)[turn % 5], len(records))
        found.setdefault(tuple(sorted(chance.sample(everything, size))))
    promised = []
    for _ in range(4000):
        size = min(chance.choice([2, 2, 3]), len(records))
        one = tuple(sorted(chance.sample(everything, size)))
        lowest = min(rule.retentions(tuple((index, 1) for index in one)))
        if cautious_retention(lowest, contention.margin) >= PROMISED:
            promised.append(one)
    # Every model as often as can be: rare ones first.
    uses = dict.fromkeys(everything, 0)
    candidates = list(dict.fromkeys(promised))
    while candidates and len(found) < num_sets:
        best = min(candidates, key=lambda one: sum(uses[item] for item in one))
        candidates.remove(best)
        if best not in found:
            found[best] = None
            for item in best:
                uses[item] += 1
    ordered = list(found)
    chance.shuffle(ordered)
    return ordered


@dataclass(frozen=True)
class PlannedSet:
    """One GPU of a plan for a latency limit, as it is to be run.

    Attributes:
        plan: ``predicted`` or ``alone``: by which latency it was made.
        question: Plans with the same number are for the same demands and limits.
        members: Models, by index.
        rates: What each is sent, in infer/sec.
        limits_s: Of each one's p99.
    """

    plan: str
    question: int
    members: tuple[int, ...]
    rates: tuple[float, ...]
    limits_s: tuple[float, ...]


def draw_plans(
    records: Sequence[ProfileRecord],
    contention: Contention,
    alone_s: Sequence[float],
    num_questions: int,
    chance: random.Random,
) -> list[PlannedSet]:
    """Return plans, first fit, by the planner's rules: with latency and without.

    Both kinds serve the demands with a fifth to spare. Those by the latency alone let
    share what can serve its demands; the others also keep p99 limits as predicted.

    Args:
        records: Of the models.
        contention: How they share.
        alone_s: Each one's p99 alone.
        num_questions: Different demands and limits.
        chance: Draws them.
    """
    found = []
    for question in range(num_questions):
        names = frozenset(one.model_name for one in records)
        speeds = [one.throughput_infer_per_sec or 0.0 for one in records]
        loads = [
            min(0.45, max(chance.uniform(0.1, 0.35), LEAST_PER_S / speed))
            for speed in speeds
        ]
        times = LIMITS[question % len(LIMITS)]
        limits = {
            one.model_name: times * alone
            for one, alone in zip(records, alone_s, strict=True)
        }
        serving = RetentionRule(
            records, contention, {}, loads=[load / BORNE for load in loads]
        )
        keeping = RetentionRule(
            records,
            contention,
            {},
            loads=loads,
            latency=LatencyLimits(limits, names, percentile=99.0),
        )
        order = list(range(len(records)))
        chance.shuffle(order)
        for plan in ("predicted", "alone"):
            gpus: list[list[int]] = []
            for item in order:
                for gpu in gpus:
                    counts = tuple((one, 1) for one in sorted([*gpu, item]))
                    if min(serving.retentions(counts)) >= 0.999 and (
                        plan == "alone" or keeping.is_allowed(counts)
                    ):
                        gpu.append(item)
                        break
                else:
                    gpus.append([item])
            found += [
                PlannedSet(
                    plan,
                    question,
                    tuple(sorted(gpu)),
                    tuple(loads[item] * speeds[item] for item in sorted(gpu)),
                    tuple(limits[records[item].model_name] for item in sorted(gpu)),
                )
                for gpu in gpus
                if len(gpu) > 1
            ]
    return found


def draw_all_traffic(
    records: Sequence[ProfileRecord],
    contention: Contention,
    alone_s: Sequence[float],
    arguments: argparse.Namespace,
    chance: random.Random,
) -> list[tuple[list[tuple[str, float]], dict[str, Any]]]:
    """Return sets with what each member is sent, and what their row says of them.

    Every kind is spread over the whole list, so that running out of time hits all.
    """
    names = [one.model_name for one in records]
    kinds: dict[str, list[tuple[list[tuple[str, float]], dict[str, Any]]]] = {}
    for members, rates, share in draw_traffic(
        records, contention, arguments.num_open, chance, bearable=BEARABLE
    ):
        sent = [(names[i], rate) for i, rate in zip(members, rates, strict=True)]
        kinds.setdefault("drawn", []).append((sent, {"bearable_share": share}))
    for one in draw_plans(
        records, contention, alone_s, arguments.num_questions, chance
    ):
        sent = [
            (names[i], rate) for i, rate in zip(one.members, one.rates, strict=True)
        ]
        more = {
            "plan": one.plan,
            "question": one.question,
            "limits_s": list(one.limits_s),
        }
        kinds.setdefault(one.plan, []).append((sent, more))
    placed = []
    for kind in kinds.values():
        chance.shuffle(kind)
        placed += [
            ((at + chance.random()) / len(kind), one) for at, one in enumerate(kind)
        ]
    return [one for _, one in sorted(placed, key=lambda one: one[0])]


def record(arguments: argparse.Namespace) -> None:
    """Measure everything once and write it down."""
    started_s = time.monotonic()
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    label = f"{arguments.networks}_{arguments.sharing}{arguments.suffix}"
    repository = Path(arguments.scratch) / f"busy_{label}"
    networks = NETWORKS[arguments.networks]
    host_speed = Path(arguments.scratch).resolve() / f"host_speed_{label}"
    # What an earlier recording left there is none of this one's.
    shutil.rmtree(host_speed, ignore_errors=True)
    write_networks(
        repository,
        networks,
        kind="KIND_CPU" if arguments.cpu else "KIND_GPU",
        host_speed=host_speed,
    )
    with ExitStack() as stack:
        models = stack.enter_context(
            loaded_models(
                arguments,
                repository,
                [one.name for one in networks],
                Path(arguments.scratch) / f"server_{label}.log",
                gpu_uuids=tuple(arguments.gpu),
            )
        )
        url = models.server.url
        recorder = BusyRecorder(
            models,
            out / f"busy_{label}.jsonl",
            started_s=started_s,
            processes={
                name: stack.enter_context(LoadProcess(url)) for name in models.names
            },
            host_speed=HostSpeedReadings(host_speed),
        )
        recorder.say(f"{len(models.names)} networks loaded")
        if len(models.names) < len(networks) / 2:
            raise SystemExit("most networks do not load")
        _run_campaign(recorder, arguments)
        signal.setitimer(signal.ITIMER_REAL, 0)
        recorder.say("done")


def _run_campaign(recorder: BusyRecorder, arguments: argparse.Namespace) -> None:
    chance = random.Random(arguments.seed)
    deadline_s = recorder.started_s + arguments.budget_s - STOP_S
    models = recorder.models
    profiles = recorder.profiles(arguments.solo_s)
    contention = resolve_contention(
        ProfileSet(records=tuple(profiles)), models.device.gpu_type, models.sharing
    )
    if arguments.num_closed:
        names = [one.model_name for one in profiles]
        drawn = draw_closed_sets(profiles, contention, arguments.num_closed, chance)
        campaign = ClosedCampaign(
            [[names[index] for index in members] for members in drawn],
            lambda members, num_rounds: recorder.visit(members, num_rounds, chance),
            clock=lambda: time.monotonic() - recorder.started_s,
            deadline_s=arguments.closed_until_s,
            most_s=arguments.most_closed_s,
        )
        campaign.first()
        recorder.say(f"{len(drawn)} closed sets, first rounds: {_known(campaign)}")
        profiles = recorder.profiles(arguments.solo_s)
        campaign.more()
        recorder.say(f"closed sets, all rounds: {_known(campaign)}")
    elif not arguments.profile_once:
        # Once more after the sets, in the time that is kept for it.
        deadline_s -= len(profiles) * (arguments.solo_s + 0.8)
    traffic = draw_all_traffic(
        profiles,
        contention,
        [recorder.alone_s[one.model_name] for one in profiles],
        arguments,
        chance,
    )
    left_s = deadline_s - time.monotonic()
    num_sets = min(len(traffic), int(left_s / (arguments.traffic_s + 0.9)))
    each_s = arguments.traffic_s
    if num_sets:
        each_s = min(arguments.most_s, left_s / num_sets - 0.9)
    recorder.say(f"{num_sets} of {len(traffic)} sets with traffic, {each_s:.1f} s each")
    for sent, more in traffic[:num_sets]:
        if time.monotonic() + each_s + 0.5 > deadline_s:
            recorder.say("out of time")
            break
        recorder.run("traffic", sent, seconds=each_s, warm_up_s=0.4, more=more)
    if not (arguments.num_closed or arguments.profile_once):
        recorder.profiles(arguments.solo_s)


def _known(campaign: ClosedCampaign) -> str:
    errors = [one for one in campaign.standard_errors() if one < float("inf")]
    rounds = [len(one.rounds) for one in campaign.sets]
    return (
        f"{len(errors)} measured, {sum(rounds)} rounds, standard error of the least "
        f"known member {100 * np.median(errors):.1f} (median), "
        f"{100 * np.percentile(errors, 95):.1f} points (95 %)"
        if errors
        else "none measured"
    )


class OutOfTime(BaseException):
    """No error of a measurement, which would be told and leave the next its turn."""


def _out_of_time(*_: object) -> None:
    raise OutOfTime


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("--networks", choices=sorted(NETWORKS), default="fit")
    parser.add_argument("--sharing", default="time_slicing")
    parser.add_argument("--scratch", default="/tmp/busy")
    parser.add_argument("--gpu", nargs="*", default=[], help="UUID, for MPS")
    parser.add_argument("--server-root", type=Path)
    parser.add_argument("--server-python", type=Path)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--budget-s", type=float, default=520.0)
    parser.add_argument("--solo-s", type=float, default=2.2, help="each time")
    parser.add_argument(
        "--profile-once", action="store_true", help="without closed sets"
    )
    parser.add_argument("--traffic-s", type=float, default=14.0, help="of a set")
    parser.add_argument("--most-s", type=float, default=18.0, help="of a set")
    parser.add_argument("--num-closed", type=int, default=42)
    parser.add_argument("--closed-until-s", type=float, default=410.0)
    parser.add_argument("--most-closed-s", type=float, default=14.0, help="of a set")
    parser.add_argument("--num-open", type=int, default=6)
    parser.add_argument("--num-questions", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--suffix", default="", help="of the file's name")
    arguments = parser.parse_args()
    # Whatever hangs or takes long: what was measured is in the file.
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.setitimer(signal.ITIMER_REAL, max(1.0, arguments.budget_s - STOP_S / 2))
    try:
        record(arguments)
    except OutOfTime:
        print("out of time", flush=True)


if __name__ == "__main__":
    main()
