"""Generated capacity-planning instances: models, load points, GPU types, demand.

Three GPU types with memory, speed and price in the proportions of real cards. Per
model: memory and base speed are log-normal; a larger batch size gives more throughput
(b / (b + 3) of the most), a busier GPU (15 % + 70 % · b / (b + 4)) and more memory. The
demand of a model is a uniform share of ``multiple`` times what its best load point
gives on the first type.
"""

from __future__ import annotations

import random
from dataclasses import replace

from gpupack.packing import BinType, CapacityProblem, Job, Option

GPU_TYPES = (
    # MiB, relative speed, price per hour in cents; illustrative, not quotes
    (23_034, 1.0, 70),
    (81_920, 3.2, 340),
    (46_068, 1.9, 150),
)
SERVER_MIB = 600
UNITS_PER_PERCENT = 1_000_000


def make_instance(
    *, num_models: int, num_load_points: int, num_types: int, multiple: float, seed: int
) -> CapacityProblem:
    """Return an instance; the same arguments give the same one."""
    rng = random.Random(seed)
    types = GPU_TYPES[:num_types]
    full = 100 * UNITS_PER_PERCENT
    bin_types = tuple(
        BinType(capacity=(mib - SERVER_MIB, full, full), cost=price)
        for mib, _, price in types
    )
    jobs = []
    options = []
    for job in range(num_models):
        memory_mib = rng.lognormvariate(7.5, 0.8)
        base_rate = rng.lognormvariate(4.5, 1.0)
        best = 0
        for bin_type, (_, speed, _) in enumerate(types):
            for step in range(num_load_points):
                batch = 2**step
                rate = base_rate * speed * batch / (batch + 3) * rng.uniform(0.9, 1.1)
                busy = 15 + 70 * batch / (batch + 4) * rng.uniform(0.8, 1.2)
                busy = min(100.0, busy)
                reading = busy * rng.uniform(0.2, 0.8)
                memory = min(20_000, int(memory_mib * (1 + 0.12 * batch)))
                milli_rate = max(1, int(rate * 1000))
                options.append(
                    Option(
                        job=job,
                        bin_type=bin_type,
                        fixed=(memory, 0, 0),
                        proportional=(
                            0,
                            int(busy * UNITS_PER_PERCENT),
                            int(reading * UNITS_PER_PERCENT),
                        ),
                        rate=milli_rate,
                    )
                )
                if bin_type == 0:
                    best = max(best, milli_rate)
        jobs.append(Job(demand=max(1, int(best * rng.uniform(0.1, 1.0) * multiple))))
    return CapacityProblem(bin_types, tuple(jobs), tuple(options))


def limit_fleet(problem: CapacityProblem, share: float) -> CapacityProblem:
    """Return the problem with as many GPUs as can serve about a share of the demand.

    Each type gets the same part of the share: as many GPUs as that much demand keeps
    busy, each model at its load point that needs least time.
    """
    num_types = len(problem.bin_types)
    bin_types = []
    for index, bin_type in enumerate(problem.bin_types):
        busy = sum(
            min(
                (job.demand or 0) / option.rate * size / room
                for option in problem.options
                if option.job == number and option.bin_type == index
                for size, room in [(option.proportional[1], bin_type.capacity[1])]
            )
            for number, job in enumerate(problem.jobs)
        )
        bin_types.append(
            replace(bin_type, count=max(1, round(busy * share / num_types)))
        )
    return replace(problem, bin_types=tuple(bin_types))
