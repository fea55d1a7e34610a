"""Saved /metrics: rates between two times, joined with GPUs, all worked out by hand."""

from __future__ import annotations

import pytest

from gpupack.errors import InvalidInputError, ProfileDataError
from gpupack.importers.prometheus.exposition import MetricsText, read_texts
from gpupack.importers.prometheus.observing import observe
from gpupack.observed_cluster import ObservedCluster
from tests.importers.prometheus.metrics_texts import gpu_text, triton_text

MIB = 1024 * 1024
BASE_S = 1_700_000_000.0


def observed(*texts: MetricsText) -> ObservedCluster:
    return observe(read_texts(texts))


def text(content: str, *, after_s: float = 0.0, server: str = "") -> MetricsText:
    return MetricsText(f"{server}@{after_s:g}", content, BASE_S + after_s, server)


def two_times(first: tuple[float, ...], then: tuple[float, ...]) -> ObservedCluster:
    return observed(
        text(triton_text({"bert": first}, uuid="GPU-1")),
        text(triton_text({"bert": then}, uuid="GPU-1"), after_s=100),
        text(gpu_text("GPU-1", used_mib=4000, free_mib=6000, busy_percent=30)),
    )


def test_the_rate_between_two_texts_is_what_was_counted_by_the_seconds() -> None:
    # In 100 s: 500 requests of 2,000 inferences in 250 executions, that took 10 s of
    # requests' time, 1 s of it in the queue.
    cluster = two_times((100, 400, 50, 0, 0), (600, 2400, 300, 10e6, 1e6))

    (demand,) = cluster.demands
    assert demand.mean_infer_per_sec == 20.0  # 2,000 in 100 s
    assert demand.peak_infer_per_sec == 20.0
    assert demand.mean_request_batch_size == 4.0  # 2,000 / 500
    assert demand.mean_execution_batch_size == 8.0  # 2,000 / 250
    assert demand.latency_mean_us == 20_000.0  # 10 s / 500
    assert demand.queue_mean_us == 2_000.0  # 1 s / 500


def test_a_counter_that_fell_began_anew_at_zero() -> None:
    cluster = two_times((100, 5000, 50, 0, 0), (60, 300, 300, 10e6, 1e6))

    (demand,) = cluster.demands
    assert demand.mean_infer_per_sec == 3.0  # the 300 since the restart, in 100 s


def test_steps_of_different_length_weigh_by_their_length() -> None:
    counts = {0: 0, 10: 100, 100: 1000, 110: 2000}  # 10, 10 and 100 infer/sec

    cluster = observed(
        *(
            text(triton_text({"bert": (1, count, 1, 1, 1)}), after_s=after_s)
            for after_s, count in counts.items()
        )
    )

    (demand,) = cluster.demands
    assert demand.infer_per_sec == (10.0, 10.0, 100.0)
    assert demand.mean_infer_per_sec == pytest.approx(2000 / 110)
    assert demand.peak_infer_per_sec == 100.0
    assert demand.peak_at is not None
    assert demand.peak_at.timestamp() == BASE_S + 110
    # Of three steps, two are within 10 infer/sec: 66 % of them.
    assert demand.percentile_infer_per_sec == {
        50: 10.0,
        90: 100.0,
        95: 100.0,
        99: 100.0,
    }


def test_the_demand_of_a_model_is_the_sum_over_its_servers() -> None:
    def counted(inferences: float) -> str:
        return triton_text({"bert": (1, inferences, 1, 1, 1)})

    cluster = observed(
        text(counted(0), server="serving/triton-0"),
        text(counted(0), server="serving/triton-1"),
        text(counted(700), after_s=100, server="serving/triton-0"),
        text(counted(300), after_s=100, server="serving/triton-1"),
    )

    (demand,) = cluster.demands
    assert demand.mean_infer_per_sec == 10.0


def test_a_model_alone_on_its_gpu_gives_an_estimate_that_says_so() -> None:
    cluster = two_times((100, 400, 50, 0, 0), (600, 2400, 300, 10e6, 1e6))

    (estimate,) = cluster.estimates
    assert estimate.origin == "estimated"
    assert estimate.throughput_infer_per_sec == 20.0
    assert estimate.gpu_utilization_percent == 30.0
    assert estimate.gpu_memory_used_bytes == 4000 * MIB
    assert estimate.gpu_type.name == "Card 10"
    assert estimate.gpu_type.memory_bytes == 10_000 * MIB  # used and free
    # 5 requests/s of 20 ms each: 0.1 in flight at a time, at least 1.
    assert str(estimate.load_point) == "4x1"
    assert estimate.is_stable is None
    assert cluster.unknown == ()


def test_what_two_models_of_one_gpu_take_is_said_to_be_unknown() -> None:
    both = {"bert": (0.0, 0.0, 0.0, 0.0, 0.0), "seg": (0.0, 0.0, 0.0, 0.0, 0.0)}
    then = {"bert": (9.0, 900.0, 9.0, 9.0, 9.0), "seg": (0.0, 0.0, 0.0, 0.0, 0.0)}

    cluster = observed(
        text(triton_text(both, uuid="GPU-1")),
        text(triton_text(then, uuid="GPU-1"), after_s=100),
        text(gpu_text("GPU-1", used_mib=4000, busy_percent=30)),
    )

    # ``seg`` was idle, but in memory.
    assert cluster.estimates == ()
    assert cluster.gpus[0].models == ("bert", "seg")
    (unknown,) = cluster.unknown
    assert "GPU-1" in unknown
    assert "bert, seg" in unknown
    assert cluster.peak_demand == {"bert": 9.0, "seg": 0.0}


def test_a_pod_with_two_gpus_does_not_tell_which_model_is_where() -> None:
    cluster = observed(
        text(triton_text({"bert": (0, 0, 0, 0, 0)}), server="serving/triton-0"),
        text(
            triton_text({"bert": (9, 900, 9, 9, 9)}),
            after_s=100,
            server="serving/triton-0",
        ),
        text(gpu_text("GPU-1", pod="serving/triton-0")),
        text(gpu_text("GPU-2", number=1, pod="serving/triton-0")),
    )

    assert [gpu.is_certain for gpu in cluster.gpus] == [False, False]
    assert cluster.estimates == ()
    assert any("GPU-2" in one for one in cluster.unknown)


def test_another_pod_on_the_gpu_leaves_nothing_to_estimate() -> None:
    cluster = observed(
        text(triton_text({"bert": (0, 0, 0, 0, 0)}, uuid="GPU-1")),
        text(triton_text({"bert": (9, 900, 9, 9, 9)}, uuid="GPU-1"), after_s=100),
        text(gpu_text("GPU-1", used_mib=4000, busy_percent=30, pod="jobs/training-7")),
    )

    assert cluster.gpus[0].other_pods == ("jobs/training-7",)
    assert cluster.estimates == ()
    assert any("jobs/training-7" in one for one in cluster.unknown)


def test_a_server_without_a_gpu_that_anything_tells_is_named() -> None:
    cluster = observed(
        text(triton_text({"bert": (0, 0, 0, 0, 0)})),
        text(triton_text({"bert": (9, 900, 9, 9, 9)}), after_s=100),
        text(gpu_text("GPU-1")),
    )

    assert cluster.gpus[0].models == ()
    assert any("GPU of bert" in one for one in cluster.unknown)


def test_one_text_tells_placement_but_no_rate() -> None:
    cluster = observed(
        text(triton_text({"bert": (9, 900, 9, 9, 9)}, uuid="GPU-1")),
        text(gpu_text("GPU-1", used_mib=4000)),
    )

    assert cluster.gpus[0].models == ("bert",)
    assert cluster.peak_demand == {}
    assert any("a second time" in one for one in cluster.warnings)


def test_the_same_name_in_two_namespaces_is_two_models() -> None:
    def counted(inferences: float) -> str:
        return triton_text({"bert": (1, inferences, 1, 1, 1)})

    cluster = observed(
        text(counted(0), server="blue/triton-0"),
        text(counted(0), server="green/triton-0"),
        text(counted(700), after_s=100, server="blue/triton-0"),
        text(counted(300), after_s=100, server="green/triton-0"),
    )

    assert cluster.peak_demand == {"blue/bert": 7.0, "green/bert": 3.0}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "holds none of the metrics"),
        ("up 1\n", "holds none of the metrics"),
        ("<html>login</html>", "no text of /metrics"),
        ('{"status": "success"}', "no text of /metrics"),
        ('nv_inference_count{model="a} 1\n', "no text of /metrics"),
        ('nv_inference_count{model="a"} -1\n', "it cannot be"),
        ('nv_inference_count{model="a"} +Inf\n', "it cannot be"),
    ],
)
def test_a_text_that_cannot_be_used_says_why(content: str, words: str) -> None:
    with pytest.raises(ProfileDataError, match=words):
        observed(text(content))


def test_two_texts_of_one_server_and_time_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="the same time"):
        observed(
            text(triton_text({"a": (1, 1, 1, 1, 1)})),
            text(triton_text({"b": (1, 1, 1, 1, 1)})),
        )


@pytest.mark.parametrize("after_s", [0.003, 0.999])
def test_two_texts_that_are_milliseconds_apart_tell_no_rate(after_s: float) -> None:
    # As files are that were copied one after the other: 1,000 in 3 ms were 333,333/s.
    with pytest.raises(InvalidInputError, match=r"by the times of the files.*touch -d"):
        observed(
            text(triton_text({"a": (1, 1, 1, 1, 1)})),
            text(triton_text({"a": (1001, 1001, 1, 1, 1)}), after_s=after_s),
        )


def at_own_time(content: str, time_ms: int) -> str:
    return "".join(
        f"{line} {time_ms}\n" if line and not line.startswith("#") else f"{line}\n"
        for line in content.splitlines()
    )


def test_the_samples_own_times_count_where_the_files_are_of_one_moment() -> None:
    first, then = (
        at_own_time(triton_text({"a": (1, count, 1, 1, 1)}), time_ms)
        for count, time_ms in ((100, 1_700_000_000_000), (700, 1_700_000_060_000))
    )

    cluster = observed(text(first), text(then, after_s=0.003))

    assert cluster.demands[0].mean_infer_per_sec == 10.0  # 600 in 60 s


def test_a_time_of_samples_and_a_time_of_a_file_are_not_compared() -> None:
    timed = at_own_time(triton_text({"a": (1, 1, 1, 1, 1)}), 1_700_000_060_000)
    with pytest.raises(InvalidInputError, match="the samples of one alone say"):
        observed(text(triton_text({"a": (1, 1, 1, 1, 1)})), text(timed))


def test_servers_with_different_numbers_of_texts_are_refused() -> None:
    one = triton_text({"a": (1, 1, 1, 1, 1)})
    with pytest.raises(InvalidInputError, match="different numbers"):
        observed(
            text(one, server="p"),
            text(one, server="p", after_s=9),
            text(one, server="q"),
        )
