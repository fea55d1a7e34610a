"""Equal GPUs are kept once, with their number, and look like a tuple all the same."""

from __future__ import annotations

import copy
import json
import pickle
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gpupack.placement import Placement
from gpupack.records.placement import GpuPlacement, PlacedGpus
from tests.report.placements import make_assignment, make_placement

_CONTENTS = st.lists(st.sampled_from(["a", "b", "ab"]), max_size=12)


def _gpus(contents: list[str]) -> tuple[GpuPlacement, ...]:
    """Return a GPU for each, made by itself, that holds the models of these letters."""
    gpus = make_placement(
        *(tuple(make_assignment(name) for name in names) for names in contents)
    ).gpus
    return tuple(gpus)


@given(_CONTENTS)
def test_a_sequence_of_gpus_is_what_a_tuple_of_them_is(contents: list[str]) -> None:
    as_tuple = _gpus(contents)

    gpus = PlacedGpus(as_tuple)

    assert len(gpus) == len(as_tuple)
    assert tuple(gpus) == as_tuple
    assert gpus == as_tuple
    assert gpus == list(as_tuple)
    assert tuple(reversed(gpus)) == tuple(reversed(as_tuple))
    for place in range(-len(as_tuple), len(as_tuple)):
        assert gpus[place] == as_tuple[place]
        assert type(gpus[place]) is GpuPlacement
    for start, stop in ((1, 4), (0, 2), (3, 3), (2, None), (-3, -1), (4, 1)):
        assert tuple(gpus[start:stop]) == as_tuple[start:stop]
        assert gpus[start:stop] == PlacedGpus(as_tuple[start:stop])
    assert tuple(gpus[1:7:2]) == as_tuple[1:7:2]
    assert tuple(gpus[::-1]) == as_tuple[::-1]
    assert gpus + as_tuple == as_tuple * 2 == gpus * 2
    assert as_tuple + gpus == gpus + gpus
    for place in (len(as_tuple), -len(as_tuple) - 1):
        with pytest.raises(IndexError):
            gpus[place]


@given(_CONTENTS)
def test_runs_are_as_few_as_neighbors_that_differ(contents: list[str]) -> None:
    gpus = PlacedGpus(_gpus(contents))

    changes = sum(one != other for one, other in pairwise(contents))
    assert len(gpus.runs) == (changes + 1 if contents else 0)
    assert [index for run in gpus.runs for index in run.gpu_indices] == list(
        range(len(contents))
    )


@given(_CONTENTS, _CONTENTS)
def test_sequences_are_equal_where_their_gpus_are(
    contents: list[str], others: list[str]
) -> None:
    gpus, other = PlacedGpus(_gpus(contents)), PlacedGpus(_gpus(others))

    assert (gpus == other) is (contents == others)
    assert hash(gpus) == hash(PlacedGpus(tuple(gpus)))
    assert gpus != (*contents, 1)


def test_gpus_whose_numbers_do_not_follow_each_other_are_not_one_run() -> None:
    first, second = _gpus(["a", "a"])

    apart = PlacedGpus([first, second.model_copy(update={"gpu_index": 7})])

    assert [run.gpu_indices for run in apart.runs] == [range(1), range(7, 8)]
    assert apart[1].gpu_index == 7


def _of_a_million() -> Placement:
    one = make_placement((make_assignment("a"), make_assignment("b")))
    content = one.model_dump(mode="json") | {"num_gpus": 1_000_000}
    content["gpus"][0]["num_gpus"] = 1_000_000
    return Placement.model_validate(content)


def test_a_million_equal_gpus_are_one_entry_of_the_file_and_one_line_of_the_table() -> (
    None
):
    placement = _of_a_million()

    text = placement.to_json()

    (entry,) = json.loads(text)["gpus"]
    assert (entry["gpu_index"], entry["num_gpus"]) == (0, 1_000_000)
    again = Placement.model_validate_json(text)
    assert again == placement
    assert len(again.gpus) == 1_000_000
    assert again.gpus[765_432].gpu_index == 765_432
    assert [gpu.gpu_index for gpu in islice(again.gpus, 3)] == [0, 1, 2]
    assert sum("1,000,000 × " in line for line in str(placement).splitlines()) == 2
    assert len(placement.to_html()) < 200_000
    assert len(placement.to_markdown().splitlines()) < 10
    (group,) = placement.groups
    assert len(group) == 1_000_000


def test_a_copy_takes_gpus_in_any_sequence() -> None:
    placement = make_placement((make_assignment("a"),), (make_assignment("a"),))

    copied = placement.model_copy(update={"gpus": [*placement.gpus]})

    assert copied == placement
    assert isinstance(copied.gpus, PlacedGpus)
    for again in (pickle.loads(pickle.dumps(placement)), copy.deepcopy(placement)):
        assert again == placement
        assert hash(again) == hash(placement)


@pytest.mark.parametrize("number", [0, -1, 1.5, None, "many"])
def test_a_number_of_gpus_that_is_none_is_refused(number: object) -> None:
    content = json.loads(_of_a_million().to_json())
    content["gpus"][0]["num_gpus"] = number

    with pytest.raises(ValidationError, match="num_gpus"):
        Placement.model_validate(content)
