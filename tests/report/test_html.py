"""The HTML report as text: what it holds, and what it must not."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

import gpupack
from gpupack.errors import InvalidInputError
from gpupack.records.frontier import FrontierPoint, FrontierRecord
from gpupack.records.placement import PlacementStatus
from gpupack.report.page.html import render_report
from tests.report.placements import (
    HOSTILE_NAME,
    make_assignment,
    make_fleet,
    make_placement,
    make_sweep,
)


class Page(HTMLParser):
    """Tags with their attributes, and the text outside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.words += data

    def having(self, **attributes: str) -> list[dict[str, str | None]]:
        wanted = {
            name.replace("_", "-").strip("-"): value
            for name, value in attributes.items()
        }
        return [found for _, found in self.tags if wanted.items() <= found.items()]


def test_every_bar_names_its_models_and_amounts_in_words() -> None:
    page = Page(render_report([("p", make_placement((make_assignment("resnet"),)))]))

    memory, utilization = page.having(role="img", data_r="0") + page.having(
        role="img", data_r="1"
    )

    # 100 MiB of the model on 50 MiB of the server, of 1000.
    assert memory["aria-label"] == (
        "GPU 0, memory: 150 of 1,000 MiB, limit 1,000 MiB. "
        "server 50 MiB, resnet 100 MiB"
    )
    assert utilization["aria-label"] == (
        "GPU 0, GPU utilization: 10 %, does not bind. resnet 10 %"
    )


def test_the_traffic_of_each_replica_is_told_where_there_is_a_demand() -> None:
    taking = [make_assignment("a", served_infer_per_sec=one) for one in (70.0, 0.034)]
    serving = make_placement((taking[0], make_assignment("b")), (taking[1],))

    page = Page(render_report([("p", serving)]))

    assert "a 1x1, 70 infer/sec" in page.words
    assert "a 1x1, 0.03 infer/sec" in page.words
    assert "b 1x1, " not in page.words
    assert "Serves, infer/s" in page.words
    without = Page(render_report([("p", make_placement((make_assignment("a"),)))]))
    assert "infer/sec" not in without.words


def test_the_medical_report_tells_the_published_totals() -> None:
    placement = gpupack.place(gpupack.load_example("medical"), "max_throughput")

    page = Page(placement.to_html())

    assert "9 models on 6 GPUs" in page.words
    assert "OPTIMAL" in page.words
    assert "6,187 of 16,384 MiB" in page.words  # chest and breast: 5035 + 1461 - 309
    assert len(placement.to_html().encode()) <= 300_000


def test_the_explanation_is_told() -> None:
    placement = gpupack.place(gpupack.load_example("medical"), "max_throughput")
    explanation = placement.explain()

    page = Page(placement.to_html(explanation=explanation))

    # 491 % of GPU utilization in all, and the largest model shares with nobody.
    assert "GPU utilization 6, Memory utilization 5, Memory 4" in page.words
    assert explanation.proof in page.words


def test_what_a_change_serves_more_or_costs_is_told_as_at_the_terminal() -> None:
    medical = gpupack.load_example("medical")
    serving = gpupack.place(
        medical, "max_throughput", gpus=6, demand={"segmentation_liver": 60.0}
    )
    fewest = gpupack.place(medical, "max_throughput")

    for placement in (serving, fewest):
        explanation = placement.explain()
        page = Page(placement.to_html(explanation=explanation))
        assert explanation.changes
        for change in explanation.changes:
            assert str(change) in page.words
    assert "more)" in str(serving.explain())
    assert "models may lose throughput" in str(fewest.explain())


def test_a_hostile_name_stays_text() -> None:
    hostile = (HOSTILE_NAME, '"><img src=x onerror=alert(1)>', "</title>", "\u202egpj")
    text = render_report(
        [
            (
                HOSTILE_NAME,
                make_placement(
                    tuple(make_assignment(name) for name in hostile),
                    profiles=tuple(one for name in hostile for one in make_sweep(name)),
                    warnings=(f"{HOSTILE_NAME} never settled",),
                ),
            )
        ]
    )
    page = Page(text)

    scripts = [attributes for tag, attributes in page.tags if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "names"}, {}]
    assert "img" not in {tag for tag, _ in page.tags}
    assert HOSTILE_NAME in page.words
    assert "\u202e" not in text


def test_nothing_is_loaded_from_anywhere() -> None:
    text = render_report([("p", make_placement((make_assignment("resnet"),)))])

    assert "default-src 'none'" in text
    sources = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert {source[:5] for source in sources} <= {"data:", "#gpus"}
    assert "http" not in re.sub(r"http-equiv", "", text)


def test_missing_profiles_are_named_and_the_rest_is_shown() -> None:
    page = Page(render_report([("p", make_placement((make_assignment("resnet"),)))]))

    assert "without its profiles" in page.words
    assert "resnet" in page.words
    assert "Measurements" not in page.words


def test_an_empty_placement_says_so() -> None:
    page = Page(render_report([("p", make_placement())]))

    assert "0 models on 0 GPUs" in page.words
    assert "This placement is empty" in page.words


def test_curves_mark_the_load_point_that_is_placed() -> None:
    placement = make_placement(
        (make_assignment("resnet", load_point="4x2"),), profiles=make_sweep("resnet")
    )
    text = render_report([("p", placement)])
    page = Page(text)

    throughput, latency = [
        label
        for label in (one.get("aria-label") for tag, one in page.tags if tag == "svg")
        if label
    ]

    assert "batch 4: 200 at 1, 400 at 2, 800 at 4" in throughput
    assert "batch 1: 20 at 1, 40 at 2, 80 at 4" in latency
    assert len(page.having(class_="ring")) == 2
    assert len(page.having(class_="dot hollow")) == 2


def test_two_placements_are_set_side_by_side_with_what_moved() -> None:
    before = make_placement(
        (make_assignment("a"), make_assignment("b"), make_assignment("c")),
        (make_assignment("d"),),
    )
    after = make_placement(
        (make_assignment("a"), make_assignment("b")),
        (make_assignment("c"), make_assignment("d")),
    )

    page = Page(render_report([("old", before), ("new", after)]))

    assert "What moved from old to new" in page.words
    assert "1 model instance moved, 3 stayed, 0 added, 0 removed" in page.words


def test_placements_of_different_models_are_told_to_share_none() -> None:
    page = Page(
        render_report(
            [
                ("old", make_placement((make_assignment("a"),))),
                ("new", make_placement((make_assignment("b"),))),
            ]
        )
    )

    assert "no model in common" in page.words
    assert "Only in old: a." in page.words


def test_the_frontier_is_drawn_with_its_bound() -> None:
    frontier = FrontierRecord(
        steps=tuple(
            FrontierPoint(
                num_gpus=number,
                throughput_infer_per_sec=100 * number,
                bound_infer_per_sec=100 * number + 5,
                status=PlacementStatus.FEASIBLE,
            )
            for number in (1, 2)
        )
    )
    placement = make_placement((make_assignment("a"),))

    page = Page(render_report([("p", placement)], frontier=frontier))

    (label,) = [
        one["aria-label"]
        for tag, one in page.tags
        if tag == "svg" and "aria-label" in one
    ]
    assert label is not None
    assert "placed: 100 at 1, 200 at 2; bound: 105 at 1, 205 at 2" in label


def test_each_step_of_the_frontier_says_who_gets_least() -> None:
    shares = ({"b <i>": 0.0, "c": 0.25, "a": 1.0}, {"a": 1.0, "b <i>": 1.0, "c": 1.0})
    frontier = FrontierRecord(
        steps=tuple(
            FrontierPoint(
                num_gpus=number,
                throughput_infer_per_sec=100 * number,
                bound_infer_per_sec=200,
                status=PlacementStatus.OPTIMAL,
                served_share=share,
                worst_served_share=min(share.values()),
            )
            for number, share in enumerate(shares, start=1)
        )
    )

    placement = make_placement((make_assignment("a"),))
    page = Page(render_report([("p", placement)], frontier=frontier))

    assert "b <i> 0.0%, c 25.0%" in page.words
    assert "all get all" in page.words
    assert "b <i> 0%c 25%a 100%" in page.words  # every model, the worst first


def test_a_thousand_gpus_and_five_thousand_distinct_models_fit_into_5_mb() -> None:
    text = render_report([("fleet", make_fleet(1000, 5, 5000))])

    assert len(text.encode()) <= 5_000_000
    assert text.count(" data-ms=") == 1000
    assert text.count('class="chip c') == 5000


def test_no_placement_and_equal_labels_are_refused() -> None:
    placement = make_placement((make_assignment("a"),))

    with pytest.raises(InvalidInputError, match="at least one placement"):
        render_report([])
    with pytest.raises(InvalidInputError, match="different labels"):
        render_report([("p", placement), ("p", placement)])


def test_an_amount_beyond_all_measure_still_makes_a_page() -> None:
    placement = make_placement((make_assignment("resnet"),))
    (gpu,) = placement.gpus
    tiny = gpu.resources[0].model_copy(update={"capacity": 1e-320})
    gpu = gpu.model_copy(update={"resources": (tiny, *gpu.resources[1:])})

    page = Page(render_report([("p", placement.model_copy(update={"gpus": (gpu,)}))]))

    assert "resnet" in page.words


def test_equal_gpus_are_one_row_with_their_number() -> None:
    ranker = make_assignment("ranker")
    gpus = [(ranker,)] * 2000 + [(ranker, make_assignment("spam"))] * 3
    text = render_report([("p", make_placement(*gpus))])

    page = Page(text)
    rows = [one for tag, one in page.tags if tag == "th" and one.get("data-g")]

    assert [(one["data-g"], one["data-n"]) for one in rows] == [
        ("0–1999", "2000"),
        ("2000–2002", "3"),
    ]
    assert "GPU 0–19992,000 × test-gpu" in page.words
    assert "GPU 2000–20023 × test-gpu" in page.words
    (memory, _) = [one["aria-label"] for one in page.having(role="img", data_r="0")]
    assert memory is not None
    assert memory.startswith("GPU 0–1999, memory: 150 of 1,000 MiB")
    # No more than a plan of three GPUs, the styles and the script included.
    few = render_report([("p", make_placement((ranker,), *gpus[-2:]))])
    assert len(text) < len(few) + 1000


def test_many_apart_gpus_that_are_equal_are_not_all_numbered() -> None:
    one, other = (make_assignment("a"),), (make_assignment("b"),)
    page = Page(render_report([("p", make_placement(*([one, other] * 100)))]))

    (first, _) = [one for tag, one in page.tags if one.get("data-n") == "100"]
    assert first["data-g"] == "0, 2, 4, 6, 8, 10, 12, 14 and 92 more"
