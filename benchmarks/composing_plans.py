"""Plans of ensembles that share composing models, of which the best is known.

    python -m benchmarks.composing_plans >> benchmarks/results/composing_plans.jsonl

GPUs are filled to the last MiB with two composing models each and ensembles that call
one or both of them; then the ensembles are shuffled. Every composing model is needed
once and the own parts add up, so no plan takes fewer GPUs. One JSON line per fleet.
"""

from __future__ import annotations

import argparse
import json
import random
from itertools import pairwise

import gpupack
from benchmarks.environment import benchmark_environment
from gpupack.profile_set import ProfileSet
from gpupack.records.environment import Environment
from gpupack.records.gpu import GpuType
from gpupack.records.profile import HelperMemory, LoadPoint, ProfileRecord

MIB = 2**20
GPU = GpuType(name="card", memory_bytes=1000 * MIB)
FLEETS = ((6, 8), (8, 6), (12, 8))
"""GPUs, and ensembles on each."""


def planted_fleet(num_gpus: int, per_gpu: int, *, seed: int) -> ProfileSet:
    """Return ensembles that so many GPUs just hold.

    Args:
        num_gpus: That no plan can do with fewer of.
        per_gpu: Ensembles, at least 2.
        seed: For every size.
    """
    rng = random.Random(seed)
    records = []
    for gpu in range(num_gpus):
        sizes = {f"core{gpu}{one}": rng.randint(100, 250) for one in "ab"}
        room = 1000 - sum(sizes.values())
        cuts = sorted(rng.sample(range(10, room - 10), per_gpu - 1))
        for number, (start, end) in enumerate(pairwise([0, *cuts, room])):
            # Two call both, so that neither part is better off elsewhere.
            called = rng.sample(sorted(sizes), 2 if number < 2 else rng.randint(1, 2))
            records.append(
                _ensemble(
                    f"ensemble{gpu}.{number}",
                    end - start,
                    {name: sizes[name] for name in sorted(called)},
                )
            )
    rng.shuffle(records)
    return ProfileSet(records=tuple(records))


def _ensemble(name: str, own_mib: int, called: dict[str, int]) -> ProfileRecord:
    return ProfileRecord.with_reason(
        "planted",
        model_name=name,
        environment=Environment(source="benchmarks.composing_plans"),
        gpu_type=GPU,
        load_point=LoadPoint(batch_size=1, concurrency=1),
        gpu_memory_used_bytes=(own_mib + sum(called.values())) * MIB,
        helpers=tuple(called),
        helper_memory=tuple(
            HelperMemory(model_name=one, memory_bytes=size * MIB, versions=(1,))
            for one, size in called.items()
        ),
    )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--time-limit", type=float, default=10.0)
    arguments = parser.parse_args()
    environment = json.loads(
        benchmark_environment(seed=0).model_dump_json(exclude_defaults=True)
    )
    for num_gpus, per_gpu in FLEETS:
        for seed in range(arguments.seeds):
            placement = gpupack.place(
                planted_fleet(num_gpus, per_gpu, seed=seed),
                time_limit_s=arguments.time_limit,
            )
            row = {
                "fewest_gpus": num_gpus,
                "ensembles": num_gpus * per_gpu,
                "seed": seed,
                "time_limit_s": arguments.time_limit,
                "num_gpus": placement.num_gpus,
                "bound": placement.bound,
                "status": placement.status.value,
                "found_by": placement.found_by,
                "seconds": round(placement.seconds, 2),
            }
            print(json.dumps(row | {"environment": environment}), flush=True)


if __name__ == "__main__":
    main()
