"""How requests arrive: names, files, and what is no arrival."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gpupack.errors import InvalidInputError
from gpupack.records.request.arrivals import ArrivalProcess, Arrivals

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "gap_cv2"),
    [("poisson", 1.0), ("constant", 0.0), ("gamma:0.5", 2.0), ("gamma:4", 0.25)],
)
def test_a_name_reads_back_and_says_how_uneven_gaps_are(
    text: str, gap_cv2: float
) -> None:
    arrivals = Arrivals.parse(text)
    assert str(arrivals) == text
    assert arrivals.gap_cv2 == pytest.approx(gap_cv2)
    assert arrivals.own_requests_per_sec is None


def test_a_file_of_times_says_its_rate_and_its_unevenness(tmp_path: Path) -> None:
    path = tmp_path / "times.txt"
    path.write_text("# seconds\n10\n\n11\n14\n")
    arrivals = Arrivals.parse(str(path))
    assert arrivals.process is ArrivalProcess.TIMES
    assert arrivals.own_requests_per_sec == pytest.approx(2 / 4)
    # Gaps of 1 and 3: mean 2, variance 1.
    assert arrivals.gap_cv2 == pytest.approx(1 / 4)
    assert str(arrivals) == "times.txt"
    assert Arrivals.model_validate_json(arrivals.model_dump_json()) == arrivals


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("0\n2\n1\n", "before the one ahead of it at 2 s; sort them"),
        ("-1\n2\n", "arrival time 1 is -1 s"),
        ("0\nsoon\n", "line 2: an arrival time is a number of seconds"),
        ("0\nnan\n", "arrival time 2 is nan s"),
        ("5\n", "1 arrival times say no rate"),
        ("5\n5\n", "say no rate"),
        ("", "0 arrival times say no rate"),
    ],
)
def test_a_file_of_no_arrival_times_is_refused(
    tmp_path: Path, content: str, told: str
) -> None:
    path = tmp_path / "times.txt"
    path.write_text(content)
    with pytest.raises(InvalidInputError, match=told):
        Arrivals.parse(str(path))


@pytest.mark.parametrize("text", ["bursts", "gamma", "gamma:0", "gamma:x", "gamma:nan"])
def test_what_is_no_arrivals_is_refused_with_those_there_are(text: str) -> None:
    with pytest.raises(InvalidInputError, match="gamma:"):
        Arrivals.parse(text)
