"""Files that older versions wrote are read.

``data/placement_v1.json`` and ``data/frontier_v1.json`` were written by the last
version that did not keep what was asked.
"""

from pathlib import Path

import pytest

import gpupack
from gpupack.errors import InvalidInputError, StoreError
from gpupack.records.request import Request
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

    assert (placement.schema_version, placement.request) == (2, None)
    assert placement.num_gpus == len(placement.gpus)
    assert str(placement)
    gpupack.write_placement(placement, tmp_path / "new.json")
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
    assert {one.schema_version for one in found.placements} == {2}


def test_a_newer_placement_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "newer.json"
    old = (DATA / "placement_v1.json").read_text(encoding="utf-8")
    path.write_text(old.replace('"schema_version": 1', '"schema_version": 3', 1))

    with pytest.raises(StoreError, match="reads 1 to 2; a newer gpupack wrote it"):
        gpupack.read_placement(path)
