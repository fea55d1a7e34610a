"""Tables that say too much or too little of how models were driven."""

from pathlib import Path

import pytest

import gpupack
from gpupack.errors import NotProfilesError, ProfileDataError, StoreError

BOTH = "model,batch_size,concurrency,request_rate,throughput,gpu%\n"
ROW = '{"model": "a", "batch_size": 4, "concurrency": 2, "throughput": 100.0}'


def write(tmp_path: Path, text: str, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_a_row_with_concurrency_and_rate_says_how_it_was_taken(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, f"{BOTH}a,4,2,50,200,30\na,4,,80,320,40\na,8,0,80,640,50\n")

    profiles = gpupack.read_profiles(path)

    assert str(profiles.records[0].load_point) == "4x2"
    assert [one.load_point.requests_per_sec for one in profiles.records] == [
        None,
        80,
        80,
    ]
    (note,) = [one for one in profiles.notes if "request_rate" in one]
    assert "1 row with 'concurrency' and 'request_rate': taken as measured" in note
    assert note.endswith("leave the concurrency empty")


def test_rows_with_one_of_both_need_no_word(tmp_path: Path) -> None:
    path = write(tmp_path, f"{BOTH}a,4,2,,200,30\na,4,,80,320,40\na,8,4,0,640,50\n")

    notes = gpupack.read_profiles(path).notes

    assert not any("request_rate" in one for one in notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model,concurrency,throughput,gpu%\na,2,9,5\n", r"with batch_size=1$"),
        (
            "batch_size,concurrency,throughput,gpu%\n1,2,9,5\n",
            r"with model_name='NAME'$",
        ),
        ("model,batch_size,gpu\nm,1,T4\n", r"or add a column concurrency$"),
    ],
)
def test_what_can_be_said_for_all_rows_is_offered(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ProfileDataError, match=message):
        gpupack.read_profiles(write(tmp_path, text))


class TestAnObjectInEachLine:
    @pytest.mark.parametrize("cut", [3, 20, len(ROW) - 1])
    def test_a_line_that_is_cut_off_is_named(self, tmp_path: Path, cut: int) -> None:
        path = write(tmp_path, f"{ROW}\n{ROW[:cut]}", "t.jsonl")

        with pytest.raises(ProfileDataError, match=r"t\.jsonl', line 2: cut off"):
            gpupack.read_profiles(path)

    def test_a_line_in_the_middle_is_named(self, tmp_path: Path) -> None:
        path = write(tmp_path, f"{ROW}\n\n{ROW[:9]}\n{ROW}\n", "t.jsonl")

        with pytest.raises(ProfileDataError, match="line 3: not a JSON object"):
            gpupack.read_profiles(path)

    @pytest.mark.parametrize("line", ["[1, 2]", '{"a": [1], "b": 2, "c": 3}', "12"])
    def test_a_line_of_another_kind_is_named(self, tmp_path: Path, line: str) -> None:
        path = write(tmp_path, f"{ROW}\n{line}\n{ROW}\n", "t.jsonl")

        with pytest.raises(ProfileDataError, match="line 2: not an object of names"):
            gpupack.read_profiles(path)

    def test_lines_of_other_programs_are_no_cut_tables(self, tmp_path: Path) -> None:
        text = '{"time": {"s": 1}, "level": "info"}\n{"time"'

        with pytest.raises((NotProfilesError, StoreError)) as caught:
            gpupack.read_profiles(write(tmp_path, text, "t.jsonl"))

        assert "cut off" not in str(caught.value)
