"""Models that are loaded several times, on a real embedded Triton."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from typer.testing import CliRunner

import gpupack
from benchmarks.noisy_models import NoisyModel
from gpupack.cli.app import app
from gpupack.errors import InvalidInputError, StoreError
from gpupack.profiling.measuring.measure_options import MeasureOptions
from gpupack.profiling.sweep.loads import merge_load, point_to_check
from gpupack.profiling.sweep.sweep_store import SweepStore
from gpupack.records.profile import (
    BetweenLoads,
    FreshLoad,
    LatencyPercentile,
    LoadPoint,
    OpenLoop,
    ProfileRecord,
)
from gpupack.store import read_profile_file
from tests.factories import make_record
from tests.profiling.conftest import installed  # noqa: F401 (a fixture)
from tests.profiling.served_models import write_finalizing

OPTIONS = MeasureOptions(max_duration_s=0.6, min_duration_s=0.3, percentile=50.0)
SLOW_FACTOR = 1.8


def sweep(repository: Path, store: Path | None, **asked: object) -> gpupack.ProfileSet:
    return gpupack.profile(
        model_repository=repository,
        gpus="host",
        batch_sizes=[1],
        options=OPTIONS,
        store=store,
        **asked,  # type: ignore[arg-type]
    )


@pytest.mark.triton
@pytest.mark.usefixtures("installed")
def test_each_load_has_a_fresh_server_and_its_raw_windows_are_kept(
    tmp_path: Path,
) -> None:
    repository, store = tmp_path / "models", tmp_path / "store.jsonl"
    NoisyModel("m", sleep_s=0.01, load_factors=(1.0, SLOW_FACTOR, 1.0)).write(
        repository
    )

    profiles = sweep(repository, store, concurrency=[1, 2], loads=3)

    assert [str(one.load_point) for one in profiles.records] == ["1x1", "1x2"]
    for record in profiles.records:
        assert record.num_loads == 3
        rates = [one.throughput_infer_per_sec or 0.0 for one in record.loads]
        assert rates[0] / rates[1] == pytest.approx(SLOW_FACTOR, rel=0.35)
        assert rates[2] / rates[1] == pytest.approx(SLOW_FACTOR, rel=0.35)
        assert record.throughput_infer_per_sec == pytest.approx(sum(rates) / 3)
        between = record.between_loads
        assert between is not None
        assert between.do_differ
        assert between.low_infer_per_sec < min(rates)
        assert between.high_infer_per_sec > max(rates)
        assert all(one.windows for one in record.loads)
        assert len(record.windows) == sum(len(one.windows) for one in record.loads)
        assert any("differs from load to load" in one for one in record.warnings)
    # One line for each point, and all of it is in them.
    assert read_profile_file(store) == profiles
    pids = (repository / "m" / "servers").read_text().split()
    assert len(pids) == len(set(pids)) == 3


@pytest.mark.triton
@pytest.mark.usefixtures("installed")
def test_the_last_model_of_every_load_finishes_before_its_server_is_killed(
    tmp_path: Path,
) -> None:
    repository = tmp_path / "models"
    written = [write_finalizing(repository, name) for name in ("first", "last")]

    sweep(repository, None, concurrency=[1], loads=2)

    assert [one.read_text() for one in written] == ["finished\n" * 2] * 2


@pytest.mark.triton
@pytest.mark.usefixtures("installed")
def test_a_store_of_fewer_loads_is_gone_on_with(tmp_path: Path) -> None:
    repository, store = tmp_path / "models", tmp_path / "store.jsonl"
    NoisyModel("m", sleep_s=0.005).write(repository)
    (one,) = sweep(repository, store, concurrency=[1], loads=1).records
    assert one.loads == ()
    assert one.between_loads is None
    (two,) = sweep(repository, store, concurrency=[1], loads=2).records
    assert two.num_loads == 2
    assert two.loads[0].throughput_infer_per_sec == one.throughput_infer_per_sec
    assert two.loads[0].windows == one.windows
    loads = (repository / "m" / "loads").read_text()
    (same,) = sweep(repository, store, concurrency=[1], loads=2).records
    assert same == two
    assert (repository / "m" / "loads").read_text() == loads  # nothing was loaded


@pytest.mark.triton
@pytest.mark.usefixtures("installed")
def test_by_default_one_point_finds_out_that_one_load_is_enough(tmp_path: Path) -> None:
    repository, store = tmp_path / "models", tmp_path / "store.jsonl"
    NoisyModel("m", sleep_s=0.005).write(repository)
    profiles = sweep(repository, store, concurrency=[1, 2])
    if any(
        one.between_loads and one.between_loads.do_differ for one in profiles.records
    ):
        pytest.skip("the machine itself was slower in one load than in the other")
    assert sorted(one.num_loads for one in profiles.records) == [1, 2]
    loads = (repository / "m" / "loads").read_text()
    assert loads == "2"
    assert sweep(repository, store, concurrency=[1, 2]) == profiles
    assert (repository / "m" / "loads").read_text() == loads


@pytest.mark.triton
@pytest.mark.usefixtures("installed")
def test_by_default_a_model_whose_loads_differ_is_measured_in_three(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    repository, store = tmp_path / "models", tmp_path / "store.jsonl"
    NoisyModel("m", sleep_s=0.01, load_factors=(1.0, 3.0, 1.0)).write(repository)
    with caplog.at_level(logging.WARNING):
        profiles = sweep(repository, store, concurrency=[1, 2])
    assert [one.num_loads for one in profiles.records] == [3, 3]
    assert "m is measured in 3 loads" in caplog.text


def fresh(rate: float) -> FreshLoad:
    return FreshLoad(throughput_infer_per_sec=rate, throughput_ci_ratio=0.05)


def differing(point: str, *, num_loads: int) -> ProfileRecord:
    return make_record(
        "m",
        load_point=LoadPoint.parse(point),
        loads=(fresh(100.0), fresh(200.0), fresh(100.0))[:num_loads],
        between_loads=BetweenLoads(
            spread_ratio=0.4,
            low_infer_per_sec=30.0,
            high_infer_per_sec=500.0,
            do_differ=True,
        ),
    )


def test_where_loads_differ_points_of_one_load_are_not_finished() -> None:
    store = SweepStore(None)
    one, other = LoadPoint.parse("1x1"), LoadPoint.parse("1x2")
    store.add(make_record("m", load_point=other))
    assert store.is_finished("m", other, num_loads=None)
    store.add(differing("1x1", num_loads=2))
    assert not store.is_finished("m", one, num_loads=None)
    assert not store.is_finished("m", other, num_loads=None)
    assert store.is_finished("m", other, num_loads=1)
    store.add(differing("1x1", num_loads=3))
    assert store.is_finished("m", one, num_loads=None)
    assert not store.is_finished("m", other, num_loads=None)


def test_readings_of_loads_are_means_and_maxima() -> None:
    first = make_record(
        throughput_infer_per_sec=100.0,
        throughput_ci_ratio=0.05,
        latency_mean_us=10.0,
        latency_p99_us=40.0,
        energy_joules=5.0,
        gpu_memory_used_bytes=10,
        is_stable=True,
    )
    second = make_record(
        throughput_infer_per_sec=50.0,
        throughput_ci_ratio=0.05,
        latency_mean_us=20.0,
        latency_p99_us=30.0,
        energy_joules=6.0,
        gpu_memory_used_bytes=30,
        is_stable=True,
    )
    third = second.model_copy(update={"latency_mean_us": 33.0, "is_stable": False})
    two = merge_load(first, second, allowed_ratio=0.1)
    three = merge_load(two, third, allowed_ratio=0.1)
    assert three.throughput_infer_per_sec == pytest.approx(200 / 3)
    assert three.latency_mean_us == pytest.approx((10 + 20 + 33) / 3)
    assert three.latency_p99_us == 40.0
    assert three.energy_joules == 17.0
    assert three.gpu_memory_used_bytes == 30
    assert three.is_stable is True  # two of three
    assert [one.latency_mean_us for one in three.loads] == [10.0, 20.0, 33.0]
    assert sum("differs from load" in one for one in three.warnings) == 1
    assert ProfileRecord.model_validate_json(three.model_dump_json()) == three


def open_loop(*, is_kept_up: bool = True, arrivals: str = "poisson") -> OpenLoop:
    return OpenLoop(
        arrivals=arrivals,
        asked_requests_per_sec=50.0,
        offered_requests_per_sec=50.0,
        sent_requests_per_sec=50.0,
        late_share=0.0,
        is_sent=True,
        is_kept_up=is_kept_up,
    )


@pytest.mark.parametrize("is_first_behind", [True, False])
def test_a_rate_that_one_load_did_not_keep_up_with_has_no_latency(
    is_first_behind: bool,
) -> None:
    rate = LoadPoint.parse("1@50/s")
    kept = make_record(
        load_point=rate,
        throughput_infer_per_sec=50.0,
        latency_mean_us=10.0,
        latency_p99_us=40.0,
        latency_percentiles=(
            LatencyPercentile(percentile=99, value_us=40, low_us=30, num_requests=700),
        ),
        open_loop=open_loop(),
        is_stable=True,
    )
    behind = make_record(
        load_point=rate,
        throughput_infer_per_sec=30.0,
        missing={"latency_p99_us": "they wait longer and longer"},
        open_loop=open_loop(is_kept_up=False),
        is_stable=False,
    )
    both = (behind, kept) if is_first_behind else (kept, behind)
    found = merge_load(*both, allowed_ratio=0.1)
    assert found.latency_mean_us is None
    assert found.latency_p99_us is None
    assert found.missing["latency_p99_us"] == "they wait longer and longer"
    assert found.latency_percentiles == ()
    assert found.is_stable is False
    assert found.open_loop is not None
    assert not found.open_loop.is_kept_up
    # And further loads do not bring it back.
    assert merge_load(found, kept, allowed_ratio=0.1).latency_p99_us is None


def test_what_was_measured_with_other_arrivals_is_not_gone_on_with() -> None:
    store = SweepStore(None)
    point = LoadPoint.parse("1@50/s")
    other = LoadPoint.parse("1@60/s")
    store.add(make_record("m", load_point=point, open_loop=open_loop()))
    store.check_arrivals([point], "poisson")
    store.check_arrivals([other, LoadPoint.parse("1x1")], "gamma:0.1")
    with pytest.raises(StoreError, match=r"1@50/s.*poisson arrivals.*gamma:0.1"):
        store.check_arrivals([other, point], "gamma:0.1")


def test_the_point_that_is_known_best_is_checked_once() -> None:
    wide = make_record(load_point=LoadPoint.parse("1x1"), throughput_ci_ratio=0.1)
    best = make_record(load_point=LoadPoint.parse("1x2"), throughput_ci_ratio=0.02)
    settled = [
        one.model_copy(update={"is_stable": True, "missing": {}})
        for one in (wide, best)
    ]
    assert point_to_check(settled) == settled[1]
    assert point_to_check([*settled, differing("1x4", num_loads=2)]) is None
    assert point_to_check([]) is None


@pytest.mark.parametrize("loads", [0, 1.5, -1, 1000, "two"])
def test_a_number_of_loads_that_there_is_none_of_is_refused(loads: object) -> None:
    with pytest.raises(InvalidInputError, match="loads is a whole number from 1"):
        gpupack.profile(model_repository="nowhere", loads=loads)  # type: ignore[arg-type]


def test_the_shell_refuses_it_too(tmp_path: Path) -> None:
    command = ["profile", "--model-repository", str(tmp_path), "--loads", "0"]
    run = CliRunner().invoke(app, command)
    assert isinstance(run.exception, InvalidInputError)
    assert "--loads" in str(run.exception)
