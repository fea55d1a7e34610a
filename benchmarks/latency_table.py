"""Where predicted p99 are missed: every model of the recorded sets with traffic.

    python -m benchmarks.latency_table [--halves fit judge fresh] [--models]
    python -m benchmarks.latency_table --margins

Of the sets of ``busy_report``, by way of sharing, how a network is launched, and how
much of the time the GPU was at work: the share of p99 within 20 %, the median error,
and what a prediction without any error would have. That is told twice: by the noise of
a measured p99 as its blocks of about a second tell it, and, where models take turns, by
simulated measurements of the same sets and lengths, each against their median. Queues
of a busy GPU are long for many seconds, which blocks of one second do not show.

``--models`` prints a line for each model. ``--margins`` tells which latency limits the
rule of the planner allows sets to promise, and how many of them were kept: several
times each model's p99 alone, and the tightest that a set is promised. The half ``new``
judges: nothing is chosen by it.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.busy_report import (
    MIN_REQUESTS,
    NEAR,
    PERCENTILE,
    BusySession,
    has_host_work,
    read_busy,
)
from benchmarks.measuring_noise import drawn_again
from gpupack.planning.contention import LatencyLimits
from gpupack.planning.contention.latency_prediction import ArrivingTraffic
from gpupack.planning.contention.latency_rule import LatencyRule
from gpupack.planning.contention.latency_simulation import (
    simulate_percentiles,
    simulated_model,
)
from gpupack.planning.contention.prediction import customer_classes
from gpupack.records.environment import SharingMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

RESULTS = Path(__file__).parent / "results"
NUM_WINDOWS = 40
TIMES_ALONE = (3.0, 4.0, 6.0, 8.0)
MOST_TIMES = 12.0
"""Looser limits than so many times the p99 alone are no limits."""
LEAST_REQUESTS = 300
"""Of fewer nothing is said of a limit."""
BUSY_FROM = (0.0, 0.6, 0.85)
"""Where groups of sets begin, by the share of the time that the GPU was at work."""


@dataclass(frozen=True)
class MeasuredLatency:
    """One model of a set with traffic; times in seconds."""

    half: str
    sharing: SharingMode
    model_name: str
    num_models: int
    planned_share: float
    """Of the time that the models alone would keep the GPU, as planned."""
    busy_share: float
    """Of the time that the GPU was at work, as measured."""
    is_launched: bool
    """Kernel by kernel, or prepared on the host."""
    host_speed: float
    """How long the fastest answers took: the 5th percentile ÷ that alone."""
    predicted_s: float
    by_rule_s: float
    margin: float
    alone_s: float
    measured_s: float
    interval_s: tuple[float, float]
    within_by_blocks: float
    """Share of the measurements that blocks of this one make which are near it."""
    within_by_windows: float | None
    """Share of the simulated measurements that are near their median; None where
    nothing is simulated."""
    num_requests: int
    is_kept_up: bool

    @property
    def is_judged(self) -> bool:
        """Whether there is a p99 to be judged by."""
        return self.is_kept_up and self.num_requests >= MIN_REQUESTS

    @property
    def is_near(self) -> bool:
        """Whether the prediction is."""
        return abs(self.predicted_s / self.measured_s - 1) <= NEAR


def share_near_median(values: Sequence[float]) -> float:
    """Return which share of several measurements is near their median.

    None is where that is infinite: of a queue that an instance does not keep up with.
    """
    found = np.array(values)
    middle = float(np.median(found))
    if not np.isfinite(middle):
        return 0.0
    return float(np.mean(np.abs(middle / found - 1) <= NEAR))


def read_latencies(
    session: BusySession, num_windows: int
) -> list[list[MeasuredLatency]]:
    """Return the models of each set with traffic of one recording."""
    by_name = {one.model_name: one for one in session.records}
    alone = {
        row["models"][0]["model_name"]: np.array(row["models"][0]["latencies_us"]) / 1e6
        for row in session.of("alone")
    }
    return [
        _of_set(session, one, by_name, alone, num_windows)
        for one in session.of("traffic")
    ]


def _of_set(
    session: BusySession,
    one: dict[str, Any],
    by_name: dict[str, Any],
    alone: dict[str, Any],
    num_windows: int,
) -> list[MeasuredLatency]:
    contention = session.contention
    records = [by_name[model["model_name"]] for model in one["models"]]
    rates = [
        model["offered_infer_per_sec"] / record.load_point.batch_size
        for model, record in zip(one["models"], records, strict=True)
    ]
    classes = customer_classes(records, contention.factor, contention.shape)
    rule = LatencyRule(
        LatencyLimits({}, frozenset(by_name), percentile=PERCENTILE),
        records,
        classes,
        rates,
        contention_factor=contention.factor_of_arrivals,
        shape=contention.shape_of_arrivals,
        margin=contention.latency_margin,
    )
    counts = tuple((item, 1) for item in range(len(records)))
    predicted = rule.latencies_s(counts, [PERCENTILE])
    by_rule = rule.latencies_by_rule_s(counts, [PERCENTILE])
    windows: list[list[float]] = []
    models = [simulated_model(*pair) for pair in zip(records, classes, strict=True)]
    known = [model for model in models if model is not None]
    if num_windows and len(known) == len(models) and rule.is_in_turns:
        for seed in range(1, num_windows + 1):
            found = simulate_percentiles(
                known,
                [ArrivingTraffic(rate) for rate in rates],
                [PERCENTILE],
                copies=[1] * len(known),
                window_s=one["duration_s"],
                seed=seed,
            )
            windows += [] if found is None else [[late for (late,) in found]]
    rows = []
    for place, model in enumerate(one["models"]):
        latencies = np.array(model["latencies_us"]) / 1e6
        if len(latencies) < 2:
            continue
        own = alone[model["model_name"]]
        measured_s = float(np.percentile(latencies, PERCENTILE))
        draws = drawn_again(latencies, PERCENTILE, seed=place)
        low, high = np.percentile(draws, [2.5, 97.5])
        rows.append(
            MeasuredLatency(
                half=session.half,
                sharing=session.sharing,
                model_name=model["model_name"],
                num_models=len(records),
                planned_share=sum(
                    rate * each.gpu_demand_s
                    for rate, each in zip(rates, classes, strict=True)
                ),
                busy_share=one["gpu_utilization_mean_percent"] / 100,
                is_launched=has_host_work(model["model_name"]),
                host_speed=float(np.percentile(latencies, 5) / np.percentile(own, 5)),
                predicted_s=predicted[place][0],
                by_rule_s=by_rule[place][0],
                margin=rule.margins(counts)[place],
                alone_s=float(np.percentile(own, PERCENTILE)),
                measured_s=measured_s,
                interval_s=(float(low), float(high)),
                within_by_blocks=float(np.mean(np.abs(draws / measured_s - 1) <= NEAR)),
                within_by_windows=share_near_median([each[place] for each in windows])
                if windows
                else None,
                num_requests=len(latencies),
                is_kept_up=bool(model["open_loop"]["is_kept_up"]),
            )
        )
    return rows


def tightest_times(models: Iterable[MeasuredLatency]) -> float:
    """Return how many times each one's p99 alone all models of a set are promised."""
    return max(one.by_rule_s * (1 + one.margin) / one.alone_s for one in models)


def limits_kept(
    sets: Sequence[Sequence[MeasuredLatency]], times: float | None
) -> tuple[int, list[bool]]:
    """Return how many sets are promised a limit, and whether each was kept.

    Args:
        sets: The models of each.
        times: The limit of every model ÷ its p99 alone; None for the tightest that the
            set is promised.
    """
    num_sets, kept = 0, []
    for models in sets:
        tightest = tightest_times(models)
        limit = tightest if times is None else times
        if tightest > limit or limit > MOST_TIMES or len(models) < 2:
            continue
        num_sets += 1
        kept += [
            one.measured_s <= limit * one.alone_s
            for one in models
            if one.num_requests >= LEAST_REQUESTS
        ]
    return num_sets, kept


def _print_groups(rows: Sequence[MeasuredLatency]) -> None:
    groups: dict[tuple[str, str, float], list[MeasuredLatency]] = defaultdict(list)
    for one in rows:
        begin = max(each for each in BUSY_FROM if each <= one.busy_share)
        launched = "launched from the host" if one.is_launched else "captured"
        groups[one.sharing.value, launched, begin].append(one)
        groups[one.sharing.value, "all", begin].append(one)
        groups[one.sharing.value, "all", -1.0].append(one)
    print(
        f"{'':46} {'p99':>4} {'within':>6} {'blocks':>6} {'windows':>7} "
        f"{'median':>6} {'size':>5}"
    )
    for (sharing, launched, begin), found in sorted(groups.items()):
        errors = np.array(
            [np.log(min(one.predicted_s, 1e3) / one.measured_s) for one in found]
        )
        name = f"{sharing}, {launched}" + (f", from {begin:.0%}" if begin >= 0 else "")
        by_windows = [
            one.within_by_windows for one in found if one.within_by_windows is not None
        ]
        print(
            f"{name:46} {len(found):4} {np.mean([one.is_near for one in found]):6.0%} "
            f"{np.mean([one.within_by_blocks for one in found]):6.0%} "
            + (f"{np.mean(by_windows):7.0%} " if by_windows else f"{'':7} ")
            + f"{np.median(errors):+6.2f} {np.minimum(np.abs(errors), 0.7).mean():5.2f}"
        )


def _print_models(rows: Sequence[MeasuredLatency]) -> None:
    print(
        "half sharing model models planned busy launched host_speed predicted_ms "
        "measured_ms low_ms high_ms by_rule_ms"
    )
    for one in rows:
        print(
            one.half,
            one.sharing.value,
            one.model_name,
            one.num_models,
            f"{one.planned_share:.2f} {one.busy_share:.2f} {one.is_launched:d} "
            f"{one.host_speed:.2f} {1e3 * one.predicted_s:.1f} "
            f"{1e3 * one.measured_s:.1f} {1e3 * one.interval_s[0]:.1f} "
            f"{1e3 * one.interval_s[1]:.1f} {1e3 * one.by_rule_s:.1f}",
        )


def _print_margins(
    sets: Sequence[Sequence[MeasuredLatency]], say: Callable[[str], None] = print
) -> None:
    for mode in (SharingMode.TIME_SLICING, SharingMode.MPS):
        of_mode = [one for one in sets if one and one[0].sharing is mode]
        fixed = [limits_kept(of_mode, times) for times in TIMES_ALONE]
        kept = [each for _, found in fixed for each in found]
        say(
            f"{mode.value}: limits of {', '.join(f'{one:g}' for one in TIMES_ALONE)} "
            f"times alone kept {sum(kept)} of {len(kept)}, "
            f"{sum(number for number, _ in fixed)} sets allowed"
        )
        number, kept = limits_kept(of_mode, None)
        times = [tightest_times(one) for one in of_mode if len(one) > 1]
        middle = np.median([one for one in times if one <= MOST_TIMES])
        say(
            f"{mode.value}: tightest limits kept {sum(kept)} of {len(kept)}, "
            f"{number} sets, {middle:.1f} times alone"
        )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--halves", nargs="*", default=["fit", "judge", "fresh"])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--models", action="store_true", help="a line for each")
    parser.add_argument("--margins", action="store_true", help="limits kept")
    parser.add_argument("--windows", type=int, default=NUM_WINDOWS)
    arguments = parser.parse_args()
    num_windows = 0 if arguments.margins else arguments.windows
    sets = [
        models
        for session in read_busy(arguments.results)
        if session.half in arguments.halves
        for models in read_latencies(session, num_windows)
    ]
    if arguments.margins:
        _print_margins(sets)
        return
    judged = [one for models in sets for one in models if one.is_judged]
    if arguments.models:
        _print_models(judged)
    _print_groups(judged)


if __name__ == "__main__":
    main()
