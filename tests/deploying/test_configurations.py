"""A model's configuration: the user's own, with what was measured changed in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gpupack.deploying import DeployOptions, deploy
from gpupack.deploying.plan import (
    configuration_of_server,
    differences,
    parse_configuration,
)
from gpupack.errors import InvalidInputError
from gpupack.records.profile import LoadPoint, ModelVariant
from tests.deploying.test_bad_input import placed

if TYPE_CHECKING:
    from pathlib import Path

BASE = """
name: "alpha"
backend: "onnxruntime"
max_batch_size: 8
input [{ name: "X" data_type: TYPE_FP32 dims: [ 4 ] }]
output [{ name: "Y" data_type: TYPE_FP32 dims: [ 4 ] }]
parameters { key: "tuned" value { string_value: "yes" } }
optimization { cuda { graphs: true } }
"""
GPU = 'kind: "KIND_GPU"'


def emitted(
    folder: Path,
    more: str = "",
    *,
    text: str | None = BASE,
    point: LoadPoint | None = None,
    replicas: int = 1,
    record: dict[str, Any] | None = None,
    **options: Any,
) -> tuple[Any, tuple[str, ...]]:
    """The configuration of alpha on its GPU, and what was said of it."""
    (folder / "models" / "alpha" / "1").mkdir(parents=True)
    if text is not None:
        (folder / "models" / "alpha" / "config.pbtxt").write_text(text + more)
    placement = placed(point=point, **(record or {}))
    gpu = placement.gpus[0]
    placement = placement.model_copy(
        update={
            "gpus": (
                gpu.model_copy(update={"assignments": gpu.assignments * replicas}),
            )
        }
    )
    made = deploy(
        placement,
        "triton",
        model_repository=folder / "models",
        options=DeployOptions(**options),
    )
    found = made.files["repository/alpha/configs/gpu-0.pbtxt"]
    assert found.startswith("# Written by gpupack deploy: alpha on gpu-0 at ")
    return parse_configuration(found, "emitted"), made.notes


def point(batch_size: int = 1, **variant: Any) -> LoadPoint:
    named = ModelVariant(name="alpha_config_1", **variant)
    return LoadPoint(batch_size=batch_size, concurrency=1, variant=named)


def groups(config: Any) -> list[tuple[str, int, list[int]]]:
    kinds = {0: "AUTO", 1: "GPU", 2: "CPU", 3: "MODEL"}
    return [(kinds[g.kind], g.count, list(g.gpus)) for g in config.instance_group]


def test_what_the_load_point_does_not_say_stays(tmp_path: Path) -> None:
    config, notes = emitted(tmp_path)
    own = parse_configuration(BASE, "own")
    assert groups(config) == [("GPU", 1, [0])]
    del config.instance_group[:]
    assert config == own
    assert not any(note.startswith("alpha") for note in notes)


@pytest.mark.parametrize(
    ("given", "replicas", "expected"),
    [
        ("", 3, [("GPU", 3, [0])]),
        ("instance_group [{ count: 2 kind: KIND_GPU }]", 1, [("GPU", 2, [0])]),
        ("instance_group [{ count: 2 }]", 2, [("GPU", 4, [0])]),
        ("instance_group [{ count: 2 gpus: [0, 1] }]", 1, [("GPU", 2, [0])]),
        (
            "instance_group [{ count: 1 gpus: [0] }, { count: 1 gpus: [1] }]",
            1,
            [("GPU", 1, [0])],
        ),
        (
            "instance_group [{ count: 1 kind: KIND_GPU }, { count: 3 kind: KIND_CPU }]",
            1,
            [("GPU", 1, [0]), ("CPU", 3, [])],
        ),
        ("instance_group [{ count: 1 kind: KIND_MODEL }]", 2, [("MODEL", 2, [])]),
    ],
)
def test_instances_are_on_the_one_gpu_times_the_replicas(
    given: str, replicas: int, expected: list[Any], tmp_path: Path
) -> None:
    config, _ = emitted(tmp_path, given, replicas=replicas)
    assert groups(config) == expected


def test_instances_on_other_gpus_are_moved_with_a_word(tmp_path: Path) -> None:
    _, notes = emitted(tmp_path, "instance_group [{ gpus: [2, 3] }]")
    assert (
        "alpha: its instances on GPUs 2, 3 are on the one GPU that each server sees"
        in notes
    )


def test_as_many_instances_as_were_measured(tmp_path: Path) -> None:
    config, notes = emitted(
        tmp_path,
        "instance_group [{ count: 4 }]",
        record={"num_model_instances": 2},
    )
    assert groups(config) == [("GPU", 2, [0])]
    assert "alpha: 2 instances, as it was measured; its configuration says 4" in notes


def test_several_groups_that_were_measured_otherwise_are_refused(
    tmp_path: Path,
) -> None:
    both = "instance_group [{ count: 1 kind: KIND_GPU }, { count: 3 kind: KIND_CPU }]"
    with pytest.raises(InvalidInputError, match="measured with 2 instances, .* has 4"):
        emitted(tmp_path, both, record={"num_model_instances": 2})


def test_a_variants_instances_and_batches_replace_the_users(tmp_path: Path) -> None:
    wanted = point(
        4,
        num_gpu_instances=3,
        num_cpu_instances=1,
        max_batch_size=32,
        has_dynamic_batching=True,
        preferred_batch_sizes=(32, 4),
    )
    own = """instance_group [{ count: 1 kind: KIND_GPU rate_limiter { priority: 2 } }]
    dynamic_batching { max_queue_delay_microseconds: 700 }"""
    config, _ = emitted(tmp_path, own, point=wanted, replicas=2)
    assert groups(config) == [("GPU", 6, [0]), ("CPU", 2, [])]
    assert config.instance_group[0].rate_limiter.priority == 2
    assert config.max_batch_size == 32
    assert list(config.dynamic_batching.preferred_batch_size) == [4, 32]
    assert config.dynamic_batching.max_queue_delay_microseconds == 700
    assert config.parameters["tuned"].string_value == "yes"


def test_a_variant_without_dynamic_batching_switches_it_off(tmp_path: Path) -> None:
    wanted = point(num_gpu_instances=1, has_dynamic_batching=False)
    config, notes = emitted(tmp_path, "dynamic_batching { }", point=wanted)
    assert config.WhichOneof("scheduling_choice") is None
    assert "alpha: without dynamic batching, as it was measured" in notes


def test_a_smaller_variant_leaves_out_larger_preferred_batches(tmp_path: Path) -> None:
    wanted = point(max_batch_size=4)
    own = "dynamic_batching { preferred_batch_size: [ 2, 8 ] }"
    config, notes = emitted(tmp_path, own, point=wanted)
    assert list(config.dynamic_batching.preferred_batch_size) == [2]
    assert any("preferred batch sizes above" in note for note in notes)


def test_the_server_makes_batches_where_clients_send_single_inputs(
    tmp_path: Path,
) -> None:
    plain = LoadPoint(batch_size=4, concurrency=2)
    config, _ = emitted(tmp_path, point=plain, server_batching_delay_us=500)
    assert list(config.dynamic_batching.preferred_batch_size) == [4]
    assert config.dynamic_batching.max_queue_delay_microseconds == 500


def test_the_version_that_was_measured_is_served(tmp_path: Path) -> None:
    (tmp_path / "models" / "alpha" / "3").mkdir(parents=True)
    config, notes = emitted(tmp_path, record={"model_version": 3})
    assert list(config.version_policy.specific.versions) == [3]
    assert "alpha: version 3 is served, which was measured" in notes


def test_a_batch_in_the_shape_needs_no_max_batch_size(tmp_path: Path) -> None:
    bare = BASE.replace("max_batch_size: 8", "max_batch_size: 0")
    plain = LoadPoint(batch_size=16, concurrency=1)
    config, _ = emitted(tmp_path, text=bare, point=plain, record={"batch_dim": 0})
    assert config.max_batch_size == 0


def test_what_is_left_to_the_server_stays_with_it(tmp_path: Path) -> None:
    plain = LoadPoint(batch_size=4, concurrency=1)
    config, notes = emitted(tmp_path, text=None, point=plain)
    assert config.max_batch_size == 4
    assert not config.input
    assert not config.backend
    assert any("max_batch_size is set to 4" in note for note in notes)


def test_a_users_other_configurations_stay_within_reach(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "alpha" / "configs"
    folder.mkdir(parents=True)
    (folder / "mine.pbtxt").write_text("max_batch_size: 2\n")
    (tmp_path / "models" / "alpha" / "labels.txt").write_text("a\n")
    emitted(tmp_path)
    made = deploy(placed(), "triton", model_repository=tmp_path / "models")
    links = {path.removeprefix("repository/alpha/") for path in made.links}
    assert links == {"1", "config.pbtxt", "labels.txt", "configs/mine.pbtxt"}


def test_a_served_configuration_may_say_more_and_nothing_else() -> None:
    planned = parse_configuration(BASE + "instance_group [{ count: 2 }]", "own")
    served = {
        "name": "alpha",
        "backend": "onnxruntime",
        "max_batch_size": 8,
        "input": [{"name": "X", "data_type": "TYPE_FP32", "dims": ["4"]}],
        "output": [{"name": "Y", "data_type": "TYPE_FP32", "dims": [4]}],
        "parameters": {"tuned": {"string_value": "yes"}},
        "optimization": {"cuda": {"graphs": True}, "priority": "PRIORITY_DEFAULT"},
        "instance_group": [{"name": "alpha_0", "count": 2, "kind": "KIND_GPU"}],
        "version_policy": {"latest": {"num_versions": 1}},
        "a_field_of_tomorrow": 1,
    }
    assert differences(planned, configuration_of_server(served)) == ()
    for change, told in (
        ({"max_batch_size": 4}, "max_batch_size is 4, not 8"),
        ({"parameters": {}}, "parameters[tuned] is missing"),
        (
            {"parameters": {"tuned": {"string_value": "no"}}},
            "parameters[tuned].string_value is no, not yes",
        ),
        ({"backend": "python"}, "backend is python, not onnxruntime"),
        ({"optimization": {}}, "optimization.cuda.graphs is False, not True"),
        ({"instance_group": []}, "instance_group has 0 entries, not 1"),
        (
            {"parameters": {"tuned": {"string_value": "yes"}, "more": {}}},
            "parameters[more] is set, and was not planned",
        ),
        (
            {"response_cache": {"enable": True}},
            "response_cache is set, and was not planned",
        ),
        (
            {"model_transaction_policy": {"decoupled": True}},
            "model_transaction_policy is set, and was not planned",
        ),
        (
            {"instance_group": [{"count": 2, "rate_limiter": {"priority": 3}}]},
            "instance_group[0].rate_limiter is set, and was not planned",
        ),
        (
            {"version_policy": {"all": {}}},
            "version_policy is all, not the latest version",
        ),
    ):
        found = differences(planned, configuration_of_server(served | change))
        assert found == (told,)


def test_a_zero_that_was_planned_is_compared_too() -> None:
    bare = parse_configuration(BASE.replace("max_batch_size: 8", ""), "own")
    served = parse_configuration(BASE, "served")
    assert differences(bare, served) == ("max_batch_size is 8, not 0",)
    without = parse_configuration(BASE + "dynamic_batching { }", "own")
    delayed = parse_configuration(
        BASE + "dynamic_batching { max_queue_delay_microseconds: 9 }", "served"
    )
    assert differences(without, delayed) == (
        "dynamic_batching.max_queue_delay_microseconds is 9, not 0",
    )


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ("", ()),
        ("8", ()),  # Triton's own, where none are said
        ("4", ("dynamic_batching.preferred_batch_size is [4], and none was planned",)),
    ],
)
def test_preferred_batches_that_were_not_planned_are_the_servers_own(
    sizes: str, expected: tuple[str, ...]
) -> None:
    planned = parse_configuration(BASE + "dynamic_batching { }", "own")
    more = f"dynamic_batching {{ preferred_batch_size: [ {sizes} ] }}"
    assert differences(planned, parse_configuration(BASE + more, "served")) == expected
