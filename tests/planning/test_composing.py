"""Models that share composing models: memory counts those once per GPU."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import pytest

import gpupack
from benchmarks.composing_plans import planted_fleet
from gpupack.errors import CheckError, InfeasibleError
from gpupack.placement import Placement
from gpupack.planning.composing import SharedMemory
from gpupack.planning.modeling import ask
from gpupack.planning.solving import check_placement
from gpupack.profile_set import ProfileSet
from gpupack.records.gpu import GpuType
from gpupack.records.profile import (
    HelperMemory,
    LoadPoint,
    ModelVariant,
    ProfileRecord,
)
from tests.factories import GPU, MIB, make_baseline, make_profiles, make_record


def unit(
    name: str, own_mib: int, *, baseline_mib: int = 0, version: int = 1, **helpers: int
) -> ProfileRecord:
    """A model with so much of its own, and composing models with so much each."""
    return make_record(
        name,
        gpu_memory_used_bytes=(baseline_mib + own_mib + sum(helpers.values())) * MIB,
        gpu_utilization_percent=10.0,
        memory_utilization_percent=10.0,
        helpers=tuple(sorted(helpers)),
        helper_memory=tuple(
            HelperMemory(model_name=one, memory_bytes=size * MIB, versions=(version,))
            for one, size in helpers.items()
        ),
    )


def shared(placement: Placement) -> list[tuple[str, tuple[str, ...], int]]:
    return [
        (one.model_name, one.callers, one.saved_bytes // MIB)
        for gpu in placement.gpus
        for one in gpu.shared_models
    ]


def test_three_ensembles_of_600_mib_that_share_400_fit_into_1000() -> None:
    profiles = make_profiles(*(unit(name, 200, tokenizer=400) for name in "abc"))

    placement = gpupack.place(profiles)

    # 3 · 200 + 400; apart they would take 1,800.
    assert placement.num_gpus == 1
    assert placement.status == "OPTIMAL"
    assert placement.gpus[0].memory_bytes == 1000 * MIB
    assert placement.gpus[0].memory_left_bytes == 0
    assert shared(placement) == [("tokenizer", ("a", "b", "c"), 800)]
    assert any("share the composing model 'tokenizer'" in w for w in placement.warnings)


def test_a_byte_more_and_a_second_gpu_is_needed() -> None:
    profiles = make_profiles(*(unit(name, 200, tokenizer=400) for name in "abc"))
    records = list(profiles.records)
    records[0] = records[0].model_copy(update={"gpu_memory_used_bytes": 600 * MIB + 1})

    placement = gpupack.place(profiles.model_copy(update={"records": tuple(records)}))

    assert (placement.num_gpus, placement.bound) == (2, 2.0)


def test_the_server_counts_beside_what_is_shared() -> None:
    profiles = ProfileSet(
        records=(
            unit("a", 200, baseline_mib=100, core=500),
            unit("b", 200, baseline_mib=100, core=500),
        ),
        baselines=(make_baseline(100),),
    )

    placement = gpupack.place(profiles)

    assert placement.num_gpus == 1
    assert placement.gpus[0].memory_bytes == 1000 * MIB
    assert [one.memory_bytes for one in placement.gpus[0].assignments] == [
        700 * MIB
    ] * 2


def test_another_version_or_configuration_is_another_model() -> None:
    versions = make_profiles(
        unit("a", 100, core=500), unit("b", 100, core=500, version=2)
    )
    assert gpupack.place(versions).num_gpus == 2

    def configured(name: str, config: str) -> ProfileRecord:
        variant = ModelVariant(
            name=f"{name}_config_0", composing=(ModelVariant(name=config),)
        )
        point = LoadPoint(batch_size=1, concurrency=1, variant=variant)
        return unit(name, 100, core=500).model_copy(update={"load_point": point})

    alike = make_profiles(
        configured("a", "core_config_1"), configured("b", "core_config_1")
    )
    apart = make_profiles(
        configured("a", "core_config_1"), configured("b", "core_config_2")
    )
    assert gpupack.place(alike).num_gpus == 1
    assert gpupack.place(apart).num_gpus == 2


def test_what_was_not_measured_by_itself_counts_with_each_and_is_said() -> None:
    whole = unit("b", 100, core=500).model_copy(update={"helper_memory": ()})
    profiles = make_profiles(unit("a", 100, core=500), whole)

    placement = gpupack.place(profiles)

    assert placement.num_gpus == 2
    (told,) = [text for text in placement.warnings if "'core'" in text]
    assert "'a', 'b' share the composing model 'core'" in told
    assert "was not measured: it counts with each" in told


def test_a_composing_model_that_is_placed_itself_is_the_one_that_is_called() -> None:
    alone = unit("core", 600)
    profiles = make_profiles(alone, unit("a", 200, core=500), unit("b", 200, core=500))

    placement = gpupack.place(profiles)

    # 600 of core, under its own load, and 200 for each of its callers.
    assert placement.num_gpus == 1
    assert placement.gpus[0].memory_bytes == 1000 * MIB
    assert shared(placement) == [("core", ("a", "b", "core"), 1000)]
    other = alone.model_copy(update={"model_version": 2})
    apart = profiles.model_copy(update={"records": (other, *profiles.records[1:])})
    assert gpupack.place(apart).num_gpus == 2


def test_replicas_of_one_unit_bring_what_they_were_measured_with() -> None:
    profiles = make_profiles(unit("a", 100, core=300), unit("b", 100, core=300))

    both = gpupack.place(profiles, replicas={"a": 2})

    # Two of a need two of core, 800 in all; b calls one of those: 900.
    assert both.num_gpus == 1
    assert both.gpus[0].memory_bytes == 900 * MIB
    assert gpupack.place(profiles, replicas={"a": 2, "b": 3}).num_gpus == 2


def test_units_that_share_are_put_together() -> None:
    # By sums each pair fits; 4 GPUs would hold one pair of a kind only in this way.
    names = [(f"{kind}{n}", kind) for kind in "xyz" for n in range(3)]
    profiles = make_profiles(
        *(unit(name, 100, **{f"core_{kind}": 650}) for name, kind in names)
    )

    placement = gpupack.place(profiles)

    assert (placement.num_gpus, placement.status) == (3, "OPTIMAL")
    for gpu in placement.gpus:
        assert len({name[0] for name in gpu.models}) == 1
    assert "memory" in str(placement.explain())


def test_demand_cost_and_budget_count_once_too() -> None:
    profiles = make_profiles(
        *(
            unit(name, 200, core=400).model_copy(
                update={"throughput_infer_per_sec": 100.0}
            )
            for name in "abc"
        )
    )
    demand = dict.fromkeys("abc", 80.0)

    served = gpupack.place(profiles, demand=demand)
    priced = gpupack.place(profiles, "min_cost", prices={GPU.name: 2.5})
    limited = gpupack.place(profiles, "max_throughput", gpus={GPU: 1}, demand=demand)
    frontier = gpupack.frontier(
        profiles, gpus={GPU: None}, demand=demand, find_headroom=False
    )

    assert served.num_gpus == 1
    assert priced.objective_value == 2.5
    assert limited.objective_value == pytest.approx(240.0)
    assert frontier.points[0].num_gpus == 1
    assert frontier.points[0].throughput_infer_per_sec == pytest.approx(240.0)


def test_a_placement_keeps_what_is_shared_through_its_file(tmp_path: Any) -> None:
    profiles = make_profiles(*(unit(name, 200, core=400) for name in "abc"))
    placement = gpupack.place(profiles)
    path = tmp_path / "placement.json"

    gpupack.write_placement(placement, path)
    again = gpupack.read_placement(path)

    assert again == placement
    assert again.gpus[0].memory_bytes == 1000 * MIB
    assert str(again.explain()) == str(placement.explain())
    content = json.loads(path.read_text())
    assert content["gpus"][0]["shared_models"][0]["model_name"] == "core"
    del content["gpus"][0]["shared_models"]
    path.write_text(json.dumps(content))
    assert gpupack.read_placement(path).gpus[0].memory_bytes == 1800 * MIB


def test_the_check_notices_memory_that_is_not_shared() -> None:
    profiles = make_profiles(*(unit(name, 200, core=400) for name in "abc"))
    placement = gpupack.place(profiles)
    assert placement.request is not None
    question = ask(profiles, placement.request)
    check_placement(placement, question)
    gpu = placement.gpus[0]
    (one,) = gpu.shared_models
    for wrong in ((), (one.model_copy(update={"saved_bytes": 900 * MIB}),)):
        told = gpu.model_copy(update={"shared_models": wrong})
        with pytest.raises(CheckError, match="saves"):
            check_placement(placement.model_copy(update={"gpus": (told,)}), question)


def test_too_few_gpus_are_refused_with_what_would_do() -> None:
    profiles = make_profiles(*(unit(name, 300, core=400) for name in "abcd"))

    assert gpupack.place(profiles).num_gpus == 2
    with pytest.raises(InfeasibleError, match="no placement exists"):
        gpupack.place(profiles, gpus={GPU: 1})
    with pytest.raises(InfeasibleError, match="fit on no GPU"):
        gpupack.place(make_profiles(unit("a", 700, core=400), unit("b", 1, core=400)))


def drawn(rng: random.Random) -> list[ProfileRecord]:
    records = []
    for index in range(rng.randint(2, 5)):
        name = rng.choice(["a", "b", "c", "core"])
        called = {
            one: rng.randint(0, 300)
            for one in ("core", "prep")
            if one != name and rng.random() < 0.7
        }
        record = unit(name, rng.randint(0, 300), **called, version=rng.randint(1, 2))
        point = LoadPoint(batch_size=1 + index, concurrency=1)
        version = rng.choice([None, 1, 2])
        records.append(
            record.model_copy(update={"load_point": point, "model_version": version})
        )
    return records


@pytest.mark.parametrize("seed", range(60))
def test_memory_never_falls_with_a_copy_more_nor_below_its_bound(seed: int) -> None:
    rng = random.Random(seed)
    records = drawn(rng)
    own = [record.gpu_memory_used_bytes or 0 for record in records]
    memory = SharedMemory(records, own)
    room = rng.choice([400, 700, 1200]) * MIB
    least = memory.least_bytes(room)
    for copies in itertools.product(range(3), repeat=len(records)):
        counts = [(i, n) for i, n in enumerate(copies) if n]
        total = memory.total_bytes(counts)
        assert total <= sum(own[i] * n for i, n in counts)
        for i, _ in counts:
            fewer = [(j, m - (i == j)) for j, m in counts if m - (i == j)]
            assert memory.total_bytes(fewer) <= total
        if total <= room:
            assert sum(least[i] * n for i, n in counts) <= total
            # The rows that bounds know: own parts and the neediest of each part.
            of = dict(counts)
            rows = sum(memory.own_bytes[i] * n for i, n in counts) + sum(
                max(0, *(sum(size * of.get(i, 0) for i, size in one) for one in part))
                for part in memory.needs
            )
            assert rows <= total


def test_many_units_are_packed_with_a_proof() -> None:
    rng = random.Random(1)
    gpu_type = GpuType(name="G16", memory_bytes=16_000 * MIB)
    cores = {f"core_{n}": rng.randint(500, 6000) for n in range(4)}
    records = []
    for index in range(24):
        called = rng.sample(sorted(cores), rng.choice([1, 1, 2]))
        one = unit(
            f"u{index:02}", rng.randint(100, 3000), **{c: cores[c] for c in called}
        )
        records.append(one.model_copy(update={"gpu_type": gpu_type}))
    profiles = ProfileSet(
        records=tuple(records), baselines=(make_baseline(0, gpu_type),)
    )
    alone = ProfileSet(
        records=tuple(one.model_copy(update={"helper_memory": ()}) for one in records),
        baselines=profiles.baselines,
    )

    placement = gpupack.place(profiles, time_limit_s=20)

    # What all take alone and each core once is no plan, but a bound.
    own = sum(
        (one.gpu_memory_used_bytes or 0)
        - sum(part.memory_bytes for part in one.helper_memory)
        for one in records
    )
    least = -(-(own + sum(cores.values()) * MIB) // gpu_type.known_memory_bytes())
    assert least <= placement.bound <= placement.num_gpus
    assert placement.num_gpus < gpupack.place(alone, time_limit_s=5).num_gpus
    assert placement.num_gpus <= placement.bound + 1


@pytest.mark.parametrize("seed", range(2))
def test_dozens_of_ensembles_that_just_fill_their_gpus_are_packed(seed: int) -> None:
    # Each composing model once, and the own parts, are six GPUs' memory to the last
    # MiB: none does with fewer.
    profiles = planted_fleet(6, 8, seed=seed)

    placement = gpupack.place(profiles, time_limit_s=60)

    assert (placement.num_gpus, placement.bound) == (6, 6.0)
    assert placement.status == "OPTIMAL"
    assert all(gpu.memory_left_bytes == 0 for gpu in placement.gpus)
