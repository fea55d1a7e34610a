import math

import numpy as np
import pytest

from gpupack.packing.capacity.improving.refilling import Refiller, emphasized
from gpupack.packing.capacity.model import BinType, CapacityProblem, Goal, Job, Option
from gpupack.packing.capacity.relaxing import Relaxer
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
