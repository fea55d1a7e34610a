"""Files that older versions wrote are read.

``data/placement_v1.json`` and ``data/frontier_v1.json`` were written by the last
version that did not keep what was asked, ``data/placement_v2.json`` by the last that
wrote every GPU by itself, and so was ``data/comparison_v1.json``.
"""

import json
from pathlib import Path

import pytest

import gpupack
from gpupack.comparison import Comparison
from gpupack.errors import InvalidInputError, StoreError
from gpupack.records.request import Request
from gpupack.report.page.comparing.moves import Change
from gpupack.store import read_one
from gpupack.trade_off import Frontier

DATA = Path(__file__).parent / "data"
MODELS = ["classification_breast", "classification_chest", "segmentation_liver"]


def test_a_placement_without_its_request_is_read_and_written_anew(
    tmp_path: Path,
) -> None:
    path = DATA / "placement_v1.json"
    assert '"schema_version": 1' in path.read_text(encoding="utf-8")

    placement = gpupack.read_placement(path)

    assert (placement.schema_version, placement.request) == (3, None)
    assert placement.num_gpus == len(placement.gpus)
    assert str(placement)
    gpupack.write_placement(placement, tmp_path / "new.json")
    assert gpupack.read_placement(tmp_path / "new.json") == placement


def test_a_placement_with_an_entry_for_every_gpu_is_read_and_kept_counted(
    tmp_path: Path,
) -> None:
    path = DATA / "placement_v2.json"
    written = json.loads(path.read_text(encoding="utf-8"))
    assert (written["schema_version"], len(written["gpus"])) == (2, 15)

    placement = gpupack.read_placement(path)

    assert (placement.schema_version, len(placement.gpus)) == (3, 15)
    assert [gpu.gpu_index for gpu in placement.gpus] == list(range(15))
    assert [gpu.models for gpu in placement.gpus] == [
        tuple(one["model_name"] for one in gpu["assignments"])
        for gpu in written["gpus"]
    ]
    gpupack.write_placement(placement, tmp_path / "new.json")
    now = json.loads((tmp_path / "new.json").read_text(encoding="utf-8"))
    assert [(gpu["gpu_index"], gpu["num_gpus"]) for gpu in now["gpus"]] == [
        (0, 7),
        (7, 8),
    ]
    assert gpupack.read_placement(tmp_path / "new.json") == placement


def test_it_is_explained_by_what_was_asked_then() -> None:
    placement = gpupack.read_placement(DATA / "placement_v1.json")
    profiles = gpupack.load_example("medical").select(MODELS)
    request = Request.model_validate(
        {
            "objective": "max_throughput",
            "gpus": 4,
            "defaults": {"min_retention": 0.8},
            "models": {
                "classification_breast": {"demand": 1500},
                "segmentation_liver": {"optional": True},
            },
        }
    )

    with pytest.raises(InvalidInputError, match=r"request=gpupack\.Request"):
        gpupack.explain(placement, profiles)
    told = gpupack.explain(placement, profiles, request=request)

    now = gpupack.place(profiles, request)
    assert now.objective_value == pytest.approx(placement.objective_value)
    assert told.changes == now.explain().changes


def test_a_frontier_of_such_placements_is_read() -> None:
    found = read_one(DATA / "frontier_v1.json", "frontier", Frontier)

    assert len(found.placements) == len(found.points)
    assert {one.schema_version for one in found.placements} == {3}


def test_a_comparison_with_an_entry_for_every_instance_is_read() -> None:
    text = (DATA / "comparison_v1.json").read_text(encoding="utf-8")
    written = json.loads(text)

    comparison = Comparison.model_validate_json(text)

    assert (written["schema_version"], comparison.schema_version) == (1, 2)
    assert comparison.number_by_gpu_after == {
        int(index): number for index, number in written["number_by_gpu_after"].items()
    }
    changes = [move["change"] for one in written["models"] for move in one["moves"]]
    assert comparison.count(Change.MOVES) == changes.count("moves") > 0
    assert comparison.count(Change.STAYS) == changes.count("stays") > 0
    assert Comparison.model_validate_json(comparison.to_json()) == comparison


def test_a_newer_placement_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "newer.json"
    old = (DATA / "placement_v1.json").read_text(encoding="utf-8")
    path.write_text(old.replace('"schema_version": 1', '"schema_version": 4', 1))

    with pytest.raises(StoreError, match="reads 1 to 3; a newer gpupack wrote it"):
        gpupack.read_placement(path)


@pytest.mark.parametrize("number", [0, -1, 10**10, 10**19, 10**400])
def test_a_number_of_equal_gpus_that_cannot_be_is_refused(
    tmp_path: Path, number: int
) -> None:
    placement = gpupack.read_placement(DATA / "placement_v2.json")
    content = json.loads(placement.to_json())
    content["gpus"][0]["num_gpus"] = number
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(content), encoding="utf-8")

    with pytest.raises(StoreError, match=r"gpus\.0\.num_gpus"):
        gpupack.read_placement(path)


@pytest.mark.parametrize(
    ("field", "number", "told"),
    [
        ("num_gpus", 9, "num_gpus is 15, but gpus are 17"),
        ("gpu_index", 6, "GPU 6 is there twice"),
    ],
)
def test_equal_gpus_that_contradict_the_rest_of_the_file_are_refused(
    tmp_path: Path, field: str, number: int, told: str
) -> None:
    placement = gpupack.read_placement(DATA / "placement_v2.json")
    content = json.loads(placement.to_json())
    # GPUs 0 to 6 are equal, and 7 to 14.
    content["gpus"][0 if field == "num_gpus" else 1][field] = number
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(content), encoding="utf-8")

    with pytest.raises(StoreError, match=told):
        gpupack.read_placement(path)
