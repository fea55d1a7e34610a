"""The HTTP API: what is wrong is said, where, and what would help; tokens never."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from gpupack import read_prometheus
from gpupack.errors import (
    GpupackError,
    InvalidInputError,
    MissingReadingError,
    ServerError,
)
from gpupack.importers.prometheus import client
from gpupack.importers.prometheus.quantities import Quantity
from gpupack.importers.prometheus.readings import Steps
from tests.importers.prometheus.conftest import AUTHORIZATIONS

END_S = 1_700_000_000
END = "2023-11-14T22:13:20"
Serve = Callable[[Callable[[str], tuple[int, str, str]]], str]
JSON = "application/json"


def answer(kind: str, result: object, **more: object) -> str:
    data = {"resultType": kind, "result": result}
    return json.dumps({"status": "success", "data": data} | more)


def always(status: int, text: str, kind: str = JSON) -> Callable[..., tuple]:  # type: ignore[type-arg]
    return lambda path: (status, kind, text)


def prometheus(
    values: list[float | None], *, metric: str = "nv_inference_count", **more: object
) -> Callable[[str], tuple[int, str, str]]:
    """Return a Prometheus of one model, scraped every 15 s, with rates by minute."""

    def respond(path: str) -> tuple[int, str, str]:
        parts = urlsplit(path)
        query = parse_qs(parts.query)["query"][0]
        if parts.path.endswith("/query"):
            look_s = int(query.rpartition("[")[2].partition("s")[0])
            number = {"metric": {}, "value": [END_S, str(look_s / 15)]}
            return 200, JSON, answer("vector", [number])
        result = []
        if f"({metric}[" in query:
            first = END_S - 60 * (len(values) - 1)
            pairs = [
                [first + 60 * at, str(value)]
                for at, value in enumerate(values)
                if value is not None
            ]
            result = [{"metric": {"model": "bert", "pod": "p"}, "values": pairs}]
        return 200, JSON, answer("matrix", result, **more)

    return respond


def read(url: str, **more: object) -> object:
    return read_prometheus(url, window="4m", end=END, step="1m", **more)  # type: ignore[arg-type]


def test_demand_is_what_the_rates_say(serve: Serve) -> None:
    url = serve(prometheus([10.0, 40.0, 20.0, 10.0]))

    cluster = read_prometheus(url, window="4m", end=END, step="1m")

    (demand,) = cluster.demands
    assert demand.infer_per_sec == (10.0, 40.0, 20.0, 10.0)
    assert demand.mean_infer_per_sec == 20.0
    assert demand.peak_infer_per_sec == 40.0
    assert demand.peak_at is not None
    assert demand.peak_at.timestamp() == END_S - 120
    # Of four: two are within 10, three within 20, and 40 is needed for 90 %.
    assert demand.percentile_infer_per_sec == {50: 10.0, 90: 40.0, 95: 40.0, 99: 40.0}
    assert cluster.warnings == ()


def test_a_step_that_was_not_scraped_is_unknown_and_warned_of(serve: Serve) -> None:
    url = serve(prometheus([10.0, None, 20.0, 30.0]))

    cluster = read_prometheus(url, window="4m", end=END, step="1m")

    (demand,) = cluster.demands
    assert demand.infer_per_sec == (10.0, None, 20.0, 30.0)
    assert demand.mean_infer_per_sec == 20.0
    (warning,) = cluster.warnings
    assert "1 of 4 steps" in warning


def test_a_rate_reaches_back_to_the_sample_before_its_step() -> None:
    assert Quantity.INFERENCES.expression(60, 15.0) == (
        "sum by (namespace, pod, instance, gpu_uuid, model) "
        "(rate(nv_inference_count[75000ms]))"
    )
    assert Quantity.LATENCY_P99_US.expression(60, 15.0) == (
        "max by (namespace, pod, instance, gpu_uuid, model) "
        '(max_over_time(nv_inference_request_summary_us{quantile="0.99"}[60s]))'
    )


def test_coarse_steps_end_with_the_fine_ones_and_are_whole() -> None:
    steps = Steps.of(0.0, 100.0, 10)  # ten of 10 s

    assert steps.coarser(4).edges_s == (10.0, 40.0, 70.0, 100.0)  # three of 30 s
    assert steps.coarser(28) == steps


@pytest.mark.parametrize(
    ("status", "kind", "text", "words"),
    [
        (401, JSON, "{}", "token_file"),
        (403, JSON, "{}", "token_file"),
        (404, "text/plain", "404 page not found", "before it"),
        (200, "text/html", "<html>Sign in</html>", "login page"),
        (200, JSON, "[1]", "none of Prometheus"),
        (200, JSON, '{"status": "success"}', "none of Prometheus"),
        (
            400,
            JSON,
            '{"status": "error", "errorType": "bad_data", "error": "too many samples"}',
            "too many samples",
        ),
        (200, JSON, answer("vector", [], warnings=["store away"]), "store away"),
        (200, JSON, answer("vector", [], isPartial=True), "answer is partial"),
        (200, JSON, answer("vector", []), "no nv_inference_count"),
    ],
)
def test_what_is_wrong_is_said(
    serve: Serve, status: int, kind: str, text: str, words: str
) -> None:
    url = serve(always(status, text, kind))

    with pytest.raises(GpupackError, match=words):
        read(url)


def test_partial_data_is_not_planned_with(serve: Serve) -> None:
    url = serve(prometheus([1.0, 2.0, 3.0, 4.0], warnings=["store-2: unavailable"]))

    with pytest.raises(ServerError, match="partial: .*store-2"):
        read(url)


@pytest.mark.parametrize(
    "pairs",
    [
        [[END_S, "-1"]],
        [[END_S, "many"]],
        [[END_S + 600, "1"]],
        [[END_S, "1"], [END_S, "2"]],
        [END_S],
        "1",
        [],
    ],
)
def test_series_that_cannot_be_are_refused(serve: Serve, pairs: object) -> None:
    def respond(path: str) -> tuple[int, str, str]:
        if "query_range" not in path:
            return 200, JSON, answer("vector", [{"metric": {}, "value": [0, "16"]}])
        result = [{"metric": {"model": "bert"}, "values": pairs}]
        return 200, JSON, answer("matrix", result)

    with pytest.raises(ServerError):
        read(serve(respond))


def test_an_answer_without_end_is_cut_short(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MAX_ANSWER_BYTES", 1000)

    with pytest.raises(ServerError, match="exceeds .*--step"):
        read(serve(always(200, " " * 2000)))


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(ServerError, match="cannot reach .*127.0.0.1:9"):
        read("http://127.0.0.1:9")


@pytest.mark.parametrize(
    "url", ["prometheus:9090", "ftp://host", "http://", "http://h:x"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidInputError, match="no address"):
        read(url)


def test_the_token_is_sent_and_never_shown(serve: Serve, tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text("s3cret-t0ken\n")

    with pytest.raises(ServerError) as refused:
        read(serve(always(401, "s3cret-t0ken is wrong")), token_file=token_file)

    assert AUTHORIZATIONS[-1] == "Bearer s3cret-t0ken"
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("content", ["", "two words", "two\nlines"])
def test_a_file_without_a_token_shows_nothing_of_it(
    tmp_path: Path, content: str
) -> None:
    token_file = tmp_path / "token"
    token_file.write_text(content)

    with pytest.raises(InvalidInputError) as refused:
        read("http://127.0.0.1:9", token_file=token_file)

    assert not content or content not in str(refused.value)


def test_user_and_password_of_an_address_are_not_shown(serve: Serve) -> None:
    url = serve(prometheus([1.0, 2.0, 3.0, 4.0])).replace("//", "//me:hidden@")

    cluster = read_prometheus(url, window="4m", end=END, step="1m")

    assert "hidden" not in cluster.to_json()


def test_a_metric_that_is_lacking_altogether_is_named(serve: Serve) -> None:
    url = serve(prometheus([1.0, 2.0], metric="something_else"))

    with pytest.raises(MissingReadingError, match="nv_inference_count"):
        read(url)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"window": "7 days"}, "7d, 12h"),
        ({"window": "0s"}, "7d, 12h"),
        ({"window": "1h", "step": "20s"}, "15 s apart"),
        ({"window": "1h", "step": "2h"}, "longer than the window"),
        ({"start": "2023-11-15"}, "end later"),
        ({"start": "yesterday"}, "2026-03-01"),
        ({"window": "1h", "start": "2023-11-14"}, "two of them"),
    ],
)
def test_a_window_that_cannot_be_is_refused(
    serve: Serve, given: dict[str, str], words: str
) -> None:
    url = serve(prometheus([1.0, 2.0]))

    with pytest.raises(InvalidInputError, match=words):
        read_prometheus(url, end=END, **given)  # type: ignore[arg-type]
