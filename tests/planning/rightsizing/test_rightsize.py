"""How many GPUs would do, worked out by hand from what each was seen to do."""

from __future__ import annotations

from typing import Any

import pytest

from gpupack import rightsize
from gpupack.errors import InvalidInputError, MissingReadingError
from gpupack.importers.prometheus.exposition import MetricsText, read_texts
from gpupack.importers.prometheus.observing import observe
from gpupack.observed_cluster import ObservedCluster
from gpupack.profile_set import ProfileSet
from gpupack.records.gpu import GpuType
from tests.factories import make_baseline, make_record
from tests.importers.prometheus.metrics_texts import gpu_text, triton_text

MIB = 1024 * 1024
CARD = GpuType(name="Card 10", memory_bytes=10_000 * MIB)


def cluster(
    *gpus: tuple[dict[str, float], float, float], **more: Any
) -> ObservedCluster:
    """Return GPUs of 10,000 MiB with (infer/sec by model, MiB used, busy percent)."""
    texts = []
    for number, (rates, used_mib, busy) in enumerate(gpus):
        uuid, server = f"GPU-{number}", f"serving/triton-{number}"
        for after_s in (0, 100) if rates else ():
            counts = {
                name: (1.0 + after_s, rate * after_s, 1.0 + after_s, 0.0, 0.0)
                for name, rate in rates.items()
            }
            text = triton_text(counts, uuid=uuid)
            texts.append(MetricsText(f"t{number}", text, 1.7e9 + after_s, server))
        text = gpu_text(
            uuid,
            number=number,
            used_mib=used_mib,
            free_mib=10_000 - used_mib,
            busy_percent=busy,
            **more,
        )
        texts.append(MetricsText("dcgm", text, 1.7e9))
    return observe(read_texts(texts))


def test_four_copies_of_a_model_fit_on_one_gpu_at_the_headroom() -> None:
    # Four GPUs, each with one copy at 10 infer/sec, 2,000 MiB and 20 %. At 80 % of
    # memory and busy time four copies fit on one: 8,000 of 8,000 MiB, 80 of 80 %.
    seen = cluster(*[({"bert": 10.0}, 2000, 20)] * 4)

    found = rightsize(seen, headroom=0.8)

    assert (found.num_gpus_today, found.num_gpus_needed) == (4, 1)
    assert found.demand_infer_per_sec == {"bert": 40.0}
    assert len(found.spare) == 3


def test_less_headroom_takes_more_gpus() -> None:
    # At 70 %, 7,000 MiB hold three copies of 2,000 MiB, and so 30 of 40 infer/sec.
    seen = cluster(*[({"bert": 10.0}, 2000, 20)] * 4)

    assert rightsize(seen, headroom=0.7).num_gpus_needed == 2


def test_models_that_share_a_gpu_stay_together() -> None:
    # Two GPUs with a and b at 3,000 MiB and 30 %: together 6,000 MiB and 60 %.
    seen = cluster(*[({"a": 5.0, "b": 1.0}, 3000, 30)] * 2)

    found = rightsize(seen)

    assert found.num_gpus_needed == 1
    assert found.placement is not None
    assert found.placement.gpus[0].models == ("a + b (as today)", "a + b (as today)")
    kept = next(gpu for gpu in found.gpus if not gpu.is_spare)
    assert kept.models == ("a", "a", "b", "b")
    (question,) = [one for one in found.open_questions if one.commands]
    assert "a, b" in question.question
    assert question.commands[0] == (
        "gpupack profile --model-repository models/ --models a,b --batch 1,2,4,5 "
        "--concurrency 1,2,4 --store profiles.jsonl"
    )


def test_a_model_that_is_also_in_a_set_has_a_part_of_its_demand_elsewhere() -> None:
    # a serves 10 alone and 5 beside b; only the 10 are planned anew.
    seen = cluster(({"a": 10.0}, 2000, 20), ({"a": 5.0, "b": 1.0}, 3000, 30))

    found = rightsize(seen)

    assert seen.peak_demand == {"a": 15.0, "b": 1.0}
    assert found.demand_infer_per_sec == {"a": 10.0}
    assert found.num_gpus_needed == 1  # 5,000 MiB and 50 %


def test_profiles_let_models_of_one_gpu_be_planned_one_by_one() -> None:
    # Together they show 9,000 MiB, too much for two sets on a GPU. Measured alone, with
    # the server 500 MiB each: a 1,500, b 2,500; without it 1,000 + 2,000 for a copy of
    # each. Demand of a 10 and b 2, of 100 infer/sec that one copy reaches: one GPU.
    seen = cluster(*[({"a": 5.0, "b": 1.0}, 9000, 30)] * 2)
    profiles = ProfileSet(
        records=(
            make_record("a", gpu_type=CARD, gpu_memory_used_bytes=1500 * MIB),
            make_record("b", gpu_type=CARD, gpu_memory_used_bytes=2500 * MIB),
        ),
        baselines=(make_baseline(500, CARD),),
    )

    without = rightsize(seen)
    measured = rightsize(seen, profiles)

    assert without.num_gpus_needed == 2
    assert measured.num_gpus_needed == 1
    assert measured.demand_infer_per_sec == {"a": 10.0, "b": 2.0}
    assert [one for one in measured.open_questions if one.commands] == []


def test_a_gpu_that_fills_the_headroom_alone_is_kept_as_it_is() -> None:
    seen = cluster(({"a": 5.0}, 9000, 30), ({"b": 5.0}, 1000, 10))

    found = rightsize(seen)  # 80 % of 10,000 MiB are 8,000

    assert found.num_gpus_needed == 2
    assert found.gpus[0].kept_because is not None
    assert "memory of 90 %" in found.gpus[0].kept_because


def test_idle_gpus_are_spare_and_busy_ones_without_a_model_are_kept() -> None:
    seen = cluster(({"a": 5.0}, 1000, 10), ({}, 0, 0), ({}, 5000, 50))

    found = rightsize(seen)

    assert found.spare == ("node-a:1",)
    assert found.num_gpus_needed == 2
    assert "no model" in (found.gpus[2].kept_because or "")


def test_a_gpu_of_another_pod_is_kept() -> None:
    seen = cluster(({"a": 5.0}, 1000, 10), pod="jobs/training-7")

    found = rightsize(seen)

    assert "jobs/training-7" in (found.gpus[0].kept_because or "")
    assert found.placement is None
    assert found.num_gpus_needed == 1


def test_a_model_without_traffic_keeps_its_copies() -> None:
    # Nothing says what it would take under load: it takes its memory, as today.
    seen = cluster(*[({"a": 0.0}, 3000, 0)] * 2, ({"b": 5.0}, 1000, 10))

    found = rightsize(seen)

    assert found.num_gpus_needed == 1  # 3,000 + 3,000 + 1,000 of 8,000 MiB
    assert found.placement is not None
    assert sorted(found.placement.gpus[0].models) == [
        "a (as today)",
        "a (as today)",
        "b",
    ]


def test_models_stay_where_they_are_as_far_as_the_plan_lets_them() -> None:
    # a (5,000 MiB) and b (2,000) fit together in 8,000; c (4,000) has its own GPU. The
    # GPU of a keeps a, the one of c keeps c.
    seen = cluster(({"b": 1.0}, 2000, 5), ({"a": 1.0}, 5000, 5), ({"c": 1.0}, 4000, 5))

    found = rightsize(seen)

    assert found.num_gpus_needed == 2
    assert found.spare == ("node-a:0",)
    assert "a" in found.gpus[1].models
    assert "c" in found.gpus[2].models


def test_prices_say_what_is_paid_and_what_would_be() -> None:
    seen = cluster(*[({"bert": 10.0}, 2000, 20)] * 4)

    found = rightsize(seen, prices={"Card 10": 1.5})

    assert found.price_today_per_hour == 6.0
    assert found.price_needed_per_hour == 1.5
    assert "1.50 of 6 per hour" in str(found)


def test_more_gpus_than_there_are_is_an_answer_with_a_warning() -> None:
    # One copy at 10 infer/sec and 60 % busy: with 50 % to be used it serves at most
    # 8.33, so that two are needed.
    seen = cluster(({"bert": 10.0}, 2000, 60))

    found = rightsize(seen, headroom=0.5)

    assert (found.num_gpus_today, found.num_gpus_needed) == (1, 2)
    assert "2 GPUs are needed, 1 more than today" in str(found)
    assert any("more are needed" in one for one in found.warnings)


def test_without_rates_there_is_nothing_to_plan() -> None:
    text = triton_text({"a": (1, 1, 1, 1, 1)}, uuid="GPU-1")
    seen = observe(
        read_texts(
            [MetricsText("t", text, 1.7e9), MetricsText("g", gpu_text("GPU-1"), 1.7e9)]
        )
    )

    with pytest.raises(MissingReadingError, match="no rate"):
        rightsize(seen)


def test_a_price_of_a_type_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="H200"):
        rightsize(cluster(({"a": 1.0}, 100, 1)), prices={"H200": 3.0})


def test_a_percentile_that_demands_lack_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="50, 90, 95, 99"):
        rightsize(cluster(({"a": 1.0}, 100, 1)), percentile=98)


def test_the_html_page_escapes_names_and_loads_nothing() -> None:
    seen = cluster(({"<script>a": 5.0, "b": 1.0}, 3000, 30), ({"c": 1.0}, 4000, 20))

    page = rightsize(seen, prices={"Card 10": 2.5}).to_html()

    assert "<script" not in page
    assert "&lt;script&gt;a" in page
    assert "://" not in page
    # Together 7,000 of 10,000 MiB and 50 % of the time: one of two would do.
    assert "<h1>1 of 2 GPUs would do</h1>" in page
    assert "<strong>2.50</strong><span>of 5 today</span>" in page
    assert "gpupack profile --model-repository models/" in page


def test_a_cluster_is_printed_as_tables_and_shown_in_a_line() -> None:
    seen = cluster(({"bert": 10.0}, 2000, 60))

    assert "bert" in str(seen)
    assert "mean infer/sec" in str(seen)
    assert "estimated profile" in str(seen)
    assert repr(seen).startswith("<ObservedCluster: 1 model on 1 GPU, ")
    assert len(repr(seen)) < 100


def test_the_page_escapes_names_and_holds_the_commands() -> None:
    seen = cluster(({"a|b": 5.0, "<c>": 1.0}, 3000, 30))

    page = rightsize(seen).to_markdown()

    assert r"a\|b" in page
    assert r"\<c\>" in page
    assert "--models '<c>,a|b'" in page
