"""Compiled searches end when they are told to, whatever they were given to do."""

from __future__ import annotations

import importlib
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpupack.packing import kernels
from gpupack.packing.capacity.improving.refilling import Refiller
from gpupack.packing.capacity.model import (
    BinType,
    CapacityProblem,
    Configuration,
    Goal,
    Job,
    Option,
    enumerate_configurations,
    share_out,
    sharing,
)
from gpupack.packing.capacity.relaxing import Relaxer
from gpupack.packing.kernels import library
from gpupack.packing.kernels.capacity import pattern_bounds, refilling
from gpupack.packing.kernels.items import (
    bin_completion,
    frugal_fillings,
    moves,
    pricing,
)

pytestmark = pytest.mark.timeout(60)  # without the flag they would go on for weeks

FOREVER = 10**15
BOUNDED = {
    "invert",  # cubic in the rows, of which there are hundreds
    "pivot",  # so many pivots as last 50 ms
    "relaxation_multipliers",  # pivots about as many as there are types
    "root_prices",  # a few steps
    "round_robin",  # ends at its horizon
}
"""Kernels that are no searches: they end soon by themselves."""


def flag(value: int) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    return np.full(1, value, dtype=np.int8)


def test_every_kernel_that_searches_takes_a_flag_to_stop_it() -> None:
    without = set()
    root = Path(kernels.__path__[0])
    for source in root.rglob("*.py"):
        name = ".".join(source.relative_to(root).with_suffix("").parts)
        module = importlib.import_module(f"{kernels.__name__}.{name}")
        for one in vars(module).values():
            if isinstance(one, library.Kernel) and library.STOP not in one._types:
                without.add(one._name)
    assert without == BOUNDED


def filling(num_bins: int, num_jobs: int) -> refilling.Filling:
    return refilling.Filling(
        option=np.zeros((num_bins, 4), dtype=np.int64),
        number=np.zeros((num_bins, 4), dtype=np.int64),
        load=np.zeros((num_bins, 4)),
        num_slots=np.zeros(num_bins, dtype=np.int64),
        left=np.ones(num_jobs),
        copies=np.zeros(num_jobs, dtype=np.int64),
    )


def test_refilling_stops_within_a_bin_of_tiny_copies() -> None:
    # One bin, one job whose copies take nothing and serve next to nothing.
    choices = refilling.Choices(
        bin_type=np.array([0]),
        capacity=np.ones((1, 1)),
        weights=np.ones((1, 1)),
        options=np.array([0]),
        starts=np.array([0, 1]),
        job=np.array([0]),
        fixed=np.zeros((1, 1)),
        loaded=np.zeros((1, 1)),
        gain=np.array([1e-5]),
        bonus=np.zeros(1),
        worth=np.ones(1),
        must=np.zeros(1),
        least=np.array([0]),
        most=np.array([1 << 40]),
        whole=np.array([False]),
    )
    found = {}
    for stop, num_moves in ((0, 0), (1, FOREVER)):
        bins = filling(1, 1)
        loss = refilling.refill(
            choices,
            bins,
            filling(1, 1),
            filling(1, 1),
            num_moves,
            1,
            0.1,
            0.001,
            0.0,
            7,
            flag(stop),
            shifts_loads=False,
        )
        found[stop] = int(bins.number[0, 0]), loss
    # As many copies as one filling may put in; told to stop, none is put in.
    assert found[0] == (2048, pytest.approx(1 - 2048e-5))
    assert found[1] == (0, 1.0)


def test_annealing_without_a_deadline_makes_all_its_moves() -> None:
    # Three jobs of half a bin that serve 1, 2 and 3: two bins hold all of them.
    problem = CapacityProblem(
        (BinType((10,), count=2),),
        tuple(Job(demand=demand) for demand in (1, 2, 3)),
        tuple(Option(job, 0, (5,), (0,), rate) for job, rate in enumerate((1, 2, 3))),
    )
    relaxer = Relaxer(problem, Goal.MAX_SERVICE, deadline=math.inf, seed=0)
    relaxer.run()
    found = Refiller(problem, Goal.MAX_SERVICE, relaxer.guide(), (2,)).run(
        num_moves=5_000, deadline=math.inf, seed=0
    )
    assert found.loss == 0
    assert sum(count for _, count in found.uses) == 2


def test_ejection_stops() -> None:
    # Two items of six in a bin of ten: no number of insertions makes room.
    pooled = moves.eject(
        np.array([[6], [6]]),
        np.array([0, -1]),
        np.array([0, 0]),
        np.array([[0, 0]]),
        np.array([1]),
        np.array([[4]]),
        np.array([1, 0]),
        1,
        np.array([1, 1]),
        np.array([1], dtype=np.uint64),
        FOREVER,
        20,
        flag(1),
    )
    assert pooled == 1


def test_annealing_of_bins_stops() -> None:
    # Two items of six in a bin of ten: two are in excess whatever moves.
    excess = moves.anneal(
        np.array([[6], [6]]),
        np.array([10]),
        np.array([0, 0]),
        np.array([1], dtype=np.uint64),
        1,
        FOREVER,
        1.0,
        0.01,
        flag(1),
    )
    assert excess == 2


def test_bin_completion_stops() -> None:
    # Odd items never fill bins of even size: every filling would be looked at.
    sizes = np.arange(201, 321, 2).reshape(-1, 1)
    assert not bin_completion.complete(
        sizes,
        1,
        np.arange(len(sizes)),
        sizes[:, 0].astype(float),
        np.array([2000]),
        9,
        0.5,
        0.0,
        FOREVER,
        1000,
        FOREVER,
        np.array([1], dtype=np.uint64),
        np.zeros(len(sizes), dtype=np.int64),
        flag(1),
    )


def test_exchanges_stop() -> None:
    # The copy alone could be exchanged for the larger one.
    found, _ = pricing.improve_fillings(
        np.array([[9], [8]]),
        np.array([10]),
        np.array([0.9, 0.8]),
        np.array([1, 1]),
        np.array([0, 1]),
        np.array([1]),
        0.0,
        2,
        0,
        np.zeros((4, 2), dtype=np.int64),
        flag(1),
    )
    assert found == 0


def test_listing_fillings_stops() -> None:
    sizes = np.arange(1000, 940, -1).reshape(-1, 1)
    listed = frugal_fillings.list_frugal(
        sizes,
        np.arange(len(sizes)),
        np.array([20_000]),
        np.array([0]),
        FOREVER,
        np.zeros((100, 64), dtype=np.int16),
        np.zeros(100, dtype=np.int64),
        flag(1),
    )
    assert listed == -1


def test_tables_that_are_not_filled_in_bound_nothing() -> None:
    tables = np.zeros((1, 3, 11))
    arguments = (
        np.array([[0.5, 0.2]]),
        np.array([1.0, 1.0]),
        np.array([2, 2]),
        np.array([10]),
        tables,
    )
    pricing.knapsack_tables(*arguments, flag(1))
    assert np.isinf(tables[0, :2]).all()
    pricing.knapsack_tables(*arguments, flag(0))
    # Two of a fifth and one of a half fit.
    assert tables[0, 0, 10] == 3.0
    # Without the halves, two.
    assert tables[0, 1, 10] == 2.0


def test_tables_of_a_market_that_are_not_filled_in_bound_nothing() -> None:
    market = pattern_bounds.Market(
        job=np.array([0, 1]),
        first=np.array([0, 1, 2]),
        sizes=np.array([[5], [2]]),
        capacity=np.array([10]),
        fixed=np.array([[0.5], [0.2]]),
        loaded=np.zeros((2, 1)),
        most=np.array([1, 1]),
        share=np.ones(2),
        per_load=np.zeros(2),
        per_copy=np.array([3.0, 2.0]),
        whole=np.array([False, False]),
        bonus=np.zeros(2),
        wanted=np.array([1, 1]),
        limit=np.array([1, 1]),
    )
    table = np.zeros((3, 11))
    pattern_bounds.fill_table(market, np.zeros(1), 0, table, flag(1))
    assert np.isinf(table[:2]).all()
    pattern_bounds.fill_table(market, np.zeros(1), 0, table, flag(0))
    assert table[0, 10] == 5.0
    assert table[0, 6] == 3.0


def spares() -> CapacityProblem:
    """Return eight jobs, each with twice the copies that its demand takes."""
    return CapacityProblem(
        (BinType((100,)),),
        tuple(Job(demand=10) for _ in range(8)),
        tuple(Option(job, 0, (1,), (1,), 10) for job in range(8)),
    )


@pytest.mark.parametrize("left_s", [60.0, -1.0])
def test_sharing_out_tries_to_leave_out_copies_until_its_deadline(
    monkeypatch: pytest.MonkeyPatch, left_s: float
) -> None:
    programs = 0
    solve = sharing.solve_linear

    def counting(*args: Any, **kwargs: Any) -> bool:
        nonlocal programs
        programs += 1
        return solve(*args, **kwargs)

    monkeypatch.setattr(sharing, "solve_linear", counting)
    problem = spares()
    one = Configuration(0, tuple((job, 2) for job in range(8)))
    bins = share_out(
        problem,
        [(one, 1)],
        [1.0] * 8,
        [0] * 8,
        [{}],
        deadline=time.perf_counter() + left_s,
    )
    # All is served either way; without time nothing but the first program is solved.
    assert all(group.service == pytest.approx(10.0) for group in bins[0].copies)
    assert (programs == 1) == (left_s < 0)


def test_configurations_are_listed_up_to_as_many_as_are_used() -> None:
    problem = CapacityProblem(
        (BinType((100,)),),
        tuple(Job() for _ in range(8)),
        tuple(Option(job, 0, (1,), (0,), 1) for job in range(8)),
    )
    # Every subset of eight jobs but the empty one.
    listed = enumerate_configurations(problem, limit=1_000, most=255)
    assert listed is not None
    assert len(listed) == 255
    assert enumerate_configurations(problem, limit=1_000, most=254) is None


def test_bin_types_that_nobody_had_time_to_price_are_bounded_all_the_same() -> None:
    # Six bin types of ten, at costs 1 to 6; three jobs of six: one bin each.
    problem = CapacityProblem(
        tuple(BinType((10,), cost=cost) for cost in range(1, 7)),
        tuple(Job() for _ in range(3)),
        tuple(
            Option(job, bin_type, (6,), (0,), 1)
            for job in range(3)
            for bin_type in range(6)
        ),
    )
    relaxer = Relaxer(problem, Goal.MIN_COST, deadline=math.inf, seed=0)
    relaxer.start_from(())
    relaxer.master.solve()
    duals = relaxer.master.duals()
    relaxer._deadline = -math.inf
    bound, _ = relaxer._improve_exactly(duals)
    # In fractions of copies, ten sixths of a job fill a bin of cost 1.
    assert 0 < bound * relaxer.master.unit <= 3
