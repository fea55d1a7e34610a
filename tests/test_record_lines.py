"""Lines of a profile file that are alike are read as each of them alone is."""

import json
from collections import deque
from pathlib import Path

import pytest

import gpupack
from gpupack.errors import StoreError
from gpupack.json_lines import split_lines
from gpupack.record_lines import parse_lines
from gpupack.records.profile import ProfileRecord


def lines() -> list[bytes]:
    """Return the lines of the published example: 27 records, much in common."""
    records = gpupack.load_example("medical").records
    return [one.model_dump_json(exclude_none=True).encode() for one in records]


def test_every_line_is_read_as_it_is_alone() -> None:
    # Twice, so that every kind of line is one that was seen before, too.
    twice = [*lines(), *lines()]

    found = list(parse_lines(twice, "p"))

    assert found == [ProfileRecord.model_validate_json(line) for line in twice]


def change(line: bytes, **values: object) -> bytes:
    value = json.loads(line) | values
    return json.dumps({k: v for k, v in value.items() if v != "gone"}).encode()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"throughput_infer_per_sec": -3.0}, "throughput_infer_per_sec"),
        ({"throughput_infer_per_sec": None}, "need a reason in 'missing'"),
        ({"throughput_infer_per_sec": "gone"}, "need a reason in 'missing'"),
        ({"load_point": {"batch_size": 0, "concurrency": 1}}, "batch_size"),
        ({"load_point": {"batch_size": 1}}, "either a concurrency or"),
        ({"environment": {}}, "environment.source"),
        ({"environment": "gone"}, "environment"),
        ({"gpu_type": {"name": ""}}, "gpu_type.name"),
        ({"missing": {}}, "need a reason in 'missing'"),
        ({"schema_version": 99}, "schema version 99"),
        ({"schema_version": True}, "schema version"),
        ({"kind": "placement"}, "kind is 'placement'"),
        ({"furlongs": 3}, "furlongs"),
        ({"model_name": ""}, "model_name"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_after_any_number_of_good_ones(
    values: dict[str, object], told: str
) -> None:
    good = lines()
    bad = change(good[0], **values)

    with pytest.raises(StoreError, match=told) as found:
        list(parse_lines([*good, *good, bad], "profiles.jsonl"))

    assert f"line {2 * len(good) + 1}" in str(found.value)


def test_line_ends_of_any_system_separate_lines_and_pieces_may_end_anywhere() -> None:
    for end in (b"\n", b"\r\n", b"\r"):
        content = b"ab" + end + b"c" + end + end + b"de" + end
        for size in range(1, len(content) + 1):
            parts = deque(
                content[at : at + size] for at in range(0, len(content), size)
            )
            assert list(split_lines(parts)) == [b"ab", b"c", b"", b"de", b""]
            assert not parts


def test_a_file_of_another_system_or_with_a_mark_is_read(tmp_path: Path) -> None:
    expected = gpupack.load_example("medical").records
    for mark, end in (
        (b"\xef\xbb\xbf", b"\r\n"),
        (b"", b"\r"),
        (b"\xef\xbb\xbf", b"\n"),
    ):
        path = tmp_path / "profiles.jsonl"
        path.write_bytes(mark + end.join([*lines(), b""]))
        assert gpupack.read_profiles(path).records == expected
