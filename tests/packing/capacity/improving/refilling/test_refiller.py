import math
import random

import numpy as np
import pytest

from gpupack.packing.capacity.improving.refilling import Refiller, emphasized
from gpupack.packing.capacity.improving.refilling.needs import Needs
from gpupack.packing.capacity.model import BinType, CapacityProblem, Goal, Job, Option
from gpupack.packing.capacity.relaxing import (
    CapacityProgram,
    Guide,
    Measure,
    Relaxer,
)
from gpupack.packing.capacity.relaxing.plan_master import Duals
from gpupack.packing.runtime.warm_up import kernels_are_ready


def setup_module():
    assert kernels_are_ready(wait_s=120)


@pytest.mark.parametrize(
    ("emphasis", "unmet"),
    [(None, (0.0, 1.0)), ((1.0, 2.0), (0.0, 1.0)), ((1.0, 4.0), (1.0, 0.0))],
)
def test_what_is_worth_more_is_served(emphasis, unmet):
    # One bin of ten holds one of two jobs of six, that want 3 and 1.
    problem = CapacityProblem(
        (BinType((10,), count=1),),
        (Job(demand=3, is_optional=True), Job(demand=1, is_optional=True)),
        (Option(0, 0, (6,), (0,), 3), Option(1, 0, (6,), (0,), 1)),
    )
    relaxer = Relaxer(problem, Goal.MAX_SERVICE, deadline=math.inf, seed=0)
    relaxer.run()
    found = Refiller(
        problem,
        Goal.MAX_SERVICE,
        relaxer.guide(),
        (1,),
        emphasis=None if emphasis is None else np.array(emphasis),
    ).run(num_moves=2_000, deadline=math.inf, seed=0)
    assert found.unmet == pytest.approx(unmet)


def test_what_went_unmet_is_worth_more_until_it_is_met():
    worth = np.ones(3)
    for _ in range(4):
        worth = emphasized(worth, (0.0, 0.1, 1.0))
    once = 0.15 * (1 + 0.9 + 0.81 + 0.729)
    assert worth == pytest.approx([1.0, 1 + 0.3 * once, 1 + once])
    for _ in range(200):
        worth = emphasized(worth, (0.0, 0.0, 0.0))
    assert worth == pytest.approx([1.0, 1.0, 1.0])


@pytest.mark.parametrize("reading", [0, 30, 120])
def test_nothing_overflows_where_load_is_shifted(reading):
    # Every bin's copies can serve what all jobs need together, as a program finds.
    rng = random.Random(reading)
    jobs, options = [], []
    for job in range(12):
        jobs.append(Job(demand=rng.randrange(20, 60)))
        for rate in (60, 90):
            second = rng.randrange(reading // 2, reading + 1)
            options.append(
                Option(job, 0, (rng.randrange(1, 5), 0, 0), (0, 100, second), rate)
            )
    problem = CapacityProblem(
        (BinType((10, 100, 100), count=30),), tuple(jobs), tuple(options)
    )
    relaxer = Relaxer(problem, Goal.MIN_BINS, deadline=math.inf, seed=0)
    least = math.ceil(relaxer.run().bound)
    for num_bins in range(least, 31):
        found = Refiller(problem, Goal.MIN_BINS, relaxer.guide(), (num_bins,)).run(
            num_moves=20_000, deadline=math.inf, seed=0
        )
        if not found.loss:
            break
    assert num_bins <= least + 1
    program = CapacityProgram(
        problem, [one for one, _ in found.uses], in_full=True, seed=0
    )
    program.fix([(place, number) for place, (_, number) in enumerate(found.uses)])
    assert program.solve(Measure.BINS, time_limit_s=60).state == "optimal"


def test_needs_of_much_room_are_worth_more_than_their_time():
    # Both jobs take half of a bin's time; the second takes all of the room besides.
    problem = CapacityProblem(
        (BinType((100, 100)),),
        (Job(demand=50), Job(demand=50)),
        (Option(0, 0, (1, 0), (0, 100), 100), Option(1, 0, (100, 0), (0, 100), 100)),
    )
    duals = Duals([0.5] * 2, [0.0] * 2, [0.0] * 2, [0.0] * 2, [0.0])
    guide = Guide({}, duals, ((0.0, 1.0),))
    choices = Needs(problem, Goal.MIN_BINS, 1.0).choices(guide, (2,), np.ones(2))
    assert choices.worth == pytest.approx([0.5 + 0.05 * 0.01, 0.5 + 0.05])


def test_options_beaten_in_all_that_is_short_are_left_out():
    # The second is slower in what is short; the third reads less, which has no price.
    problem = CapacityProblem(
        (BinType((10, 100, 100)),),
        (Job(demand=50),),
        (
            Option(0, 0, (2, 0, 0), (0, 100, 90), 100),
            Option(0, 0, (2, 0, 0), (0, 100, 90), 80),
            Option(0, 0, (2, 0, 0), (0, 100, 10), 90),
            Option(0, 0, (1, 0, 0), (0, 100, 90), 60),
        ),
    )
    duals = Duals([0.5], [0.0], [0.0], [0.0] * 4, [0.0])
    guide = Guide({}, duals, ((0.1, 1.0, 0.0),))
    needs = Needs(problem, Goal.MIN_BINS, 1.0)
    assert needs.choices(guide, (1,), np.ones(1)).options.tolist() == [0, 3]
    needs = Needs(problem, Goal.MAX_SERVICE, 1.0)
    assert len(needs.choices(guide, (1,), np.ones(1)).options) > 2
