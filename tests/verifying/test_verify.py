"""Placements run on a real embedded Triton, the host standing in for the GPU."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

import gpupack
from gpupack.cli.app import app
from gpupack.errors import InvalidInputError, StoreError, UnknownNameError
from gpupack.planning.contention.calibration import (
    fit_contention_factor,
    mean_absolute_error,
    measured_sets,
)
from gpupack.planning.contention.prediction import (
    HOST_CONTENTION_FACTOR,
    SHARING_SHAPES,
    predict_retentions,
)
from gpupack.profile_set import ProfileSet
from gpupack.profiling.devices.host import HostDevice
from gpupack.profiling.embedded.embedded_server import EmbeddedServer
from gpupack.profiling.load.input_options import InputOptions
from gpupack.profiling.measuring.measure_options import MeasureOptions
from gpupack.profiling.server.triton import TritonServer
from gpupack.records.colocation import CoLocatedModel, CoLocation
from gpupack.records.environment import Environment, SharingMode
from gpupack.records.gpu import DeviceKind, GpuType
from gpupack.records.profile import LoadPoint
from gpupack.records.running.verification import GpuVerification
from gpupack.store import (
    read_profile_file,
    read_verifications,
    write_placement,
    write_profiles,
)
from gpupack.verifying import calibrate, verify
from gpupack.verifying.finished import Circumstances
from gpupack.verifying.measurement import measure_set
from tests.factories import MIB, make_baseline, make_record
from tests.profiling.conftest import installed  # noqa: F401 (a fixture)
from tests.profiling.served_models import SLEEP_S, write_model

POINT = LoadPoint(batch_size=1, concurrency=1)
BURN = """import random
            end = time.thread_time() + random.expovariate(1 / 0.004)
            while time.thread_time() < end: pass
            time.sleep(random.expovariate(1 / 0.004))"""
"""As busy as idle, at random: two that take turns like clockwork never meet."""
NUM_TRIES = 8
TOLERANCE = 0.1
"""In retention; the machine that runs the tests has other work too."""


OTHER_WORK = 0.2
"""Share of the machine that other work may have had where a test fails."""


@contextmanager
def pinned_to_one_core() -> Iterator[None]:
    """What starts inside has one core, before other work where that is permitted."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
        os.setpriority(os.PRIO_PROCESS, 0, 0)


def cpu_seconds() -> tuple[float, float]:
    """CPU time that the machine has spent, and that these tests and theirs have."""
    whole = psutil.cpu_times()
    ours = 0.0
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            ours += sum(process.cpu_times()[:4])
    return sum(whole) - whole.idle - whole.iowait - whole.guest, ours


@contextmanager
def undisturbed() -> Iterator[None]:
    """Skip rather than fail where other work had a good part of the machine.

    How two models share a core is measurable only while they are alone on it.
    """
    whole, ours = cpu_seconds()
    begin = time.perf_counter()
    try:
        yield
    except AssertionError:
        whole_now, ours_now = cpu_seconds()
        other = (whole_now - whole) - (ours_now - ours)
        share = other / (time.perf_counter() - begin) / (os.cpu_count() or 1)
        if share > OTHER_WORK:
            pytest.skip(f"other work had {share:.0%} of the machine")
        raise


@pytest.fixture(scope="module")
def burners(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("burners")
    write_model(repository, "first", execute=BURN)
    write_model(repository, "second", execute=BURN)
    return repository


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that settle within a second, whatever else the machine does."""
    repository = tmp_path_factory.mktemp("steady")
    write_model(repository, "first", execute=f"time.sleep({SLEEP_S})")
    write_model(repository, "second", execute=f"time.sleep({SLEEP_S})")
    return repository


def placement_of(
    *names: str,
    throughput: float = 1.0,
    memory_mib: int = 500,
    demand: float | None = None,
    replicas: int = 1,
    host_mib: int = 65536,
) -> gpupack.Placement:
    """A placement of these models on one host, promising ``throughput`` each."""
    host = GpuType(name="host", memory_bytes=host_mib * MIB, kind=DeviceKind.HOST)
    records = tuple(
        make_record(
            name,
            gpu_type=host,
            throughput_infer_per_sec=throughput,
            gpu_memory_used_bytes=memory_mib * MIB,
            gpu_utilization_percent=30.0,
        )
        for name in names
    )
    baseline = make_baseline(40, host)
    return gpupack.place(
        ProfileSet(records=records, baselines=(baseline,)),
        demand=None if demand is None else dict.fromkeys(names, demand),
        replicas=None if replicas == 1 else dict.fromkeys(names, replicas),
    )


QUICK = MeasureOptions(max_duration_s=0.8, half_width_ratio=0.1, percentile=50.0)
QUICK_OPTIONS = ["--max-seconds=0.8", "--precision=10", "--percentile=50"]


@contextmanager
def one_core(burners: Path) -> Iterator[Callable[..., CoLocation]]:
    """What measures a set of loaded models that all share one core."""
    with pinned_to_one_core():
        embedded = EmbeddedServer(burners)
        embedded.start()
        device = HostDevice(embedded.pid)
    options = MeasureOptions(
        min_duration_s=1.5, max_duration_s=4.0, half_width_ratio=0.05, percentile=50.0
    )
    with embedded, TritonServer(embedded.url) as server:
        for name in ("first", "second"):
            server.load(name)

        def measure(*names: str, offered: list[float | None] | None = None):
            return measure_set(
                server,
                [(name, POINT) for name in names],
                device=device,
                sharing_mode=None,
                options=options,
                server_pid=embedded.pid,
                offered_infer_per_sec=offered,
                # Evenly: queues of chance are none of the closed network's.
                arrivals=gpupack.Arrivals(process=gpupack.ArrivalProcess.CONSTANT),
            )

        yield measure


@pytest.mark.triton
@pytest.mark.usefixtures("installed")
def test_two_models_on_one_core_lose_what_the_model_says(burners: Path) -> None:
    nearest = 1.0
    with one_core(burners) as measure, undisturbed():
        # Other work on the machine can only add to the distance: the nearest of a few.
        for _ in range(NUM_TRIES):
            measurements = [
                measure(*names)
                for names in (["first"], ["second"], ["first", "second"])
            ]
            (together,) = measured_sets(measurements)
            predicted = together.predicted(HOST_CONTENTION_FACTOR)
            distances = [
                abs(measured - expected)
                for measured, expected in zip(
                    together.retentions, predicted, strict=True
                )
            ]
            if min(together.retentions) < 0.97:  # they do compete
                nearest = min(nearest, max(distances))
            if nearest < TOLERANCE:
                break
        assert nearest < TOLERANCE


@pytest.mark.triton
@pytest.mark.usefixtures("installed")
def test_beside_half_the_traffic_of_another_a_model_loses_what_the_model_says(
    burners: Path,
) -> None:
    nearest = 1.0
    with one_core(burners) as measure, undisturbed():
        for _ in range(NUM_TRIES):
            alone = [measure(name) for name in ("first", "second")]
            rates = [one.models[0].throughput_infer_per_sec or 0.0 for one in alone]
            records = [
                make_record(
                    one.models[0].model_name,
                    load_point=POINT,
                    gpu_type=one.gpu_type,
                    throughput_infer_per_sec=rate,
                    gpu_utilization_mean_percent=one.gpu_utilization_mean_percent,
                )
                for one, rate in zip(alone, rates, strict=True)
            ]
            beside = measure("first", "second", offered=[None, rates[1] / 2])
            kept = [
                (model.throughput_infer_per_sec or 0.0) / most
                for model, most in zip(
                    beside.models, (rates[0], rates[1] / 2), strict=True
                )
            ]
            predicted = predict_retentions(
                records, contention_factor=HOST_CONTENTION_FACTOR, loads=[1.0, 0.5]
            )
            distances = [abs(a - b) for a, b in zip(kept, predicted, strict=True)]
            if kept[0] < 0.97:  # they do compete
                nearest = min(nearest, max(distances))
            if nearest < TOLERANCE:
                break
        # The one with half of its traffic keeps all of that; driven it would not.
        assert predicted[1] == 1.0
        assert nearest < TOLERANCE


@pytest.mark.triton
@pytest.mark.usefixtures("installed")
def test_a_kept_promise_is_stored_and_not_measured_again(
    steady: Path, tmp_path: Path
) -> None:
    placement = placement_of("first", "second")
    store = tmp_path / "verification.jsonl"
    first = verify(placement, model_repository=steady, store=store, options=QUICK)
    assert first.is_kept
    assert "every promise was kept" in str(first)
    (gpu,) = first.gpus
    assert [len(one.models) for one in gpu.measurements] == [1, 1, 2]
    said: list[str] = []
    again = verify(
        placement,
        model_repository=steady,
        store=store,
        options=QUICK,
        progress=said.append,
    )
    assert said == []
    assert again.gpus == first.gpus


@pytest.mark.triton
@pytest.mark.usefixtures("installed")
def test_what_was_measured_is_judged_anew_by_what_is_asked_now(
    steady: Path, tmp_path: Path
) -> None:
    placement = placement_of("first", throughput=1e4)
    store = tmp_path / "verification.jsonl"

    def judge(tolerance: float, wanted: gpupack.Placement = placement) -> bool:
        return verify(
            wanted,
            model_repository=steady,
            store=store,
            tolerance=tolerance,
            options=QUICK,
        ).is_kept

    assert not judge(0.1)
    # One infer/sec, which any host reaches.
    assert judge(0.9999)
    assert not judge(0.1)
    asked = placement.model_copy(update={"min_retention": {"first": 1.0}})
    assert judge(0.9999, asked)
    assert len(read_verifications(store)) == 1  # measured once


def test_results_of_another_gpu_server_or_option_are_not_taken_for_these(
    tmp_path: Path,
) -> None:
    placement = placement_of("first")
    (gpu,) = placement.gpus
    one = Circumstances(
        device="GPU-1", server="http://a", inputs=InputOptions(), options=None
    )
    data = tmp_path / "inputs.npz"
    data.write_bytes(b"one")
    digests = {
        one.digest(placement, gpu),
        replace(one, device="GPU-2").digest(placement, gpu),
        replace(one, server="http://b").digest(placement, gpu),
        replace(one, inputs=InputOptions(shapes={"X": [16]})).digest(placement, gpu),
        replace(one, inputs=InputOptions(seed=1)).digest(placement, gpu),
        replace(one, inputs=InputOptions(data={"": data})).digest(placement, gpu),
        replace(one, inputs=InputOptions(batch_dims={"": 1})).digest(placement, gpu),
        replace(one, inputs=InputOptions(fills_optional=True)).digest(placement, gpu),
        replace(one, options=QUICK).digest(placement, gpu),
    }
    assert len(digests) == 9
    same = replace(one, options=MeasureOptions())
    assert same.digest(placement, gpu) in digests
    data.write_bytes(b"other")
    changed = replace(one, inputs=InputOptions(data={"": data}))
    assert changed.digest(placement, gpu) not in digests


@pytest.mark.triton
@pytest.mark.usefixtures("installed")
def test_a_broken_promise_is_named_and_gives_exit_code_4(
    steady: Path, tmp_path: Path
) -> None:
    path = tmp_path / "placement.json"
    write_placement(placement_of("first", throughput=1e6, memory_mib=41), path)
    run = CliRunner().invoke(
        app, ["verify", str(path), "--model-repository", str(steady), *QUICK_OPTIONS]
    )
    assert run.exit_code == 4
    assert "infer/sec of 1000000.0 promised" in run.stdout
    assert "predicted were 41 MiB" in run.stdout


@pytest.mark.triton
@pytest.mark.usefixtures("installed")
def test_a_model_placed_for_a_demand_is_sent_that_and_judged_by_it(
    steady: Path,
) -> None:
    # Alone it would have to reach a million; what is promised are 20 of them.
    placement = placement_of("first", "second", throughput=1e6, demand=20.0)

    result = verify(placement, model_repository=steady, options=QUICK)

    assert result.is_kept
    (gpu,) = result.gpus
    for model in gpu.models:
        assert model.promised_infer_per_sec == 20.0
        assert model.together_infer_per_sec == pytest.approx(20.0, rel=0.1)
    # Not at full speed: a factor fitted to it would say that nothing is lost.
    assert measured_sets(gpu.measurements) == []


@pytest.mark.triton
@pytest.mark.usefixtures("installed")
def test_two_replicas_on_one_gpu_are_two_instances(tmp_path: Path) -> None:
    # It sleeps and leaves the CPU alone: two instances answer twice as often as one.
    write_model(tmp_path, "sleeper", execute="time.sleep(0.02)")
    placement = placement_of("sleeper", replicas=2)
    (gpu,) = placement.gpus
    assert gpu.models == ("sleeper", "sleeper")

    result = verify(placement, model_repository=tmp_path, options=QUICK)

    (gpu_result,) = result.gpus
    alone, together = gpu_result.measurements
    assert [one.num_model_instances for one in together.models] == [1, 1]
    (solo,) = alone.models
    assert solo.throughput_infer_per_sec is not None
    for verdict in gpu_result.models:
        assert verdict.together_infer_per_sec is not None
        # One instance shared by both would leave each a half.
        assert verdict.together_infer_per_sec > 0.7 * solo.throughput_infer_per_sec


@pytest.mark.triton
@pytest.mark.usefixtures("installed")
def test_a_model_that_does_not_load_breaks_its_gpu_and_the_others_are_run(
    tmp_path: Path,
) -> None:
    repository, store = tmp_path / "models", tmp_path / "verified.jsonl"
    write_model(repository, "bad", initialize='raise RuntimeError("no weights")')
    write_model(repository, "good", execute="time.sleep(0.002)")
    # Two GPUs: there is room for one model on each.
    placement = placement_of("bad", "good", memory_mib=700, host_mib=1000)
    assert [gpu.models for gpu in placement.gpus] == [("bad",), ("good",)]
    path = tmp_path / "placement.json"
    write_placement(placement, path)

    command = ["verify", str(path), "--model-repository", str(repository)]
    run = CliRunner().invoke(app, [*command, "--store", str(store), *QUICK_OPTIONS])

    assert run.exit_code == 4
    assert "bad failed" in run.stdout
    assert "no weights" in run.stdout
    failed, kept = read_verifications(store)
    assert not failed.is_kept
    assert failed.measurements == ()
    assert kept.is_kept
    assert kept.models[0].together_infer_per_sec is not None


def test_models_missing_in_the_repository_are_named_before_anything_starts(
    steady: Path,
) -> None:
    with pytest.raises(InvalidInputError, match="nobody"):
        verify(placement_of("first", "nobody"), model_repository=steady)


def test_a_store_that_cannot_be_written_is_refused_before_anything_starts(
    steady: Path, tmp_path: Path
) -> None:
    store = tmp_path / "nowhere" / "verified.jsonl"
    said: list[str] = []
    with pytest.raises(StoreError, match="give a path in a folder that exists"):
        verify(
            placement_of("first"),
            model_repository=steady,
            store=store,
            progress=said.append,
        )
    assert said == []


def test_a_placement_under_mps_is_not_verified_on_a_host(steady: Path) -> None:
    placement = placement_of("first").model_copy(
        update={"sharing_mode": SharingMode.MPS}
    )
    with pytest.raises(InvalidInputError, match="counts on MPS"):
        verify(placement, model_repository=steady, gpu="host")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "got neither"),
        ({"model_repository": Path(), "server": "http://localhost"}, "not both"),
    ],
)
def test_one_of_repository_and_url_is_needed(given: dict[str, Path | str], told: str):
    with pytest.raises(InvalidInputError, match=rf"--model-repository.*--url.* {told}"):
        verify(placement_of("first"), **given)


def test_a_gpu_that_the_placement_does_not_have_is_named(steady: Path) -> None:
    with pytest.raises(UnknownNameError, match="has no GPU 7"):
        verify(placement_of("first"), model_repository=steady, gpu_indices=[7])


@pytest.mark.triton
@pytest.mark.usefixtures("installed")
def test_a_device_with_too_little_memory_is_refused(steady: Path) -> None:
    placement = placement_of("first")
    (gpu,) = placement.gpus
    huge = gpu.assignments[0].model_copy(update={"memory_bytes": 2**50})
    placement = placement.model_copy(
        update={"gpus": (gpu.model_copy(update={"assignments": (huge,)}),)}
    )
    with pytest.raises(InvalidInputError, match=r"needs .* MiB, but host"):
        verify(placement, model_repository=steady)


def reading(*rates: tuple[str, float], share: float, gpu: str = "H200") -> CoLocation:
    return CoLocation.with_reason(
        "not read in this test",
        models=tuple(
            CoLocatedModel(
                model_name=name,
                load_point=POINT,
                throughput_infer_per_sec=rate,
                is_stable=True,
            )
            for name, rate in rates
        ),
        duration_s=1.0,
        gpu_type=GpuType(name=gpu, memory_bytes=2**37),
        environment=Environment(source="test", sharing_mode=SharingMode.MPS),
        gpu_utilization_mean_percent=share,
    )


def verified(*measurements: CoLocation) -> GpuVerification:
    return GpuVerification(
        placed="x",
        gpu_index=0,
        models=(),
        memory_predicted_bytes=0,
        measurements=measurements,
    )


def test_calibrating_finds_the_factor_that_made_the_sets(tmp_path: Path) -> None:
    # Two models busy 40 % alone keep 1 / (1 + 0.4 · 0.7 · 0.4) at factor 0.7, times
    # what the SMs take off without a reading.
    kept = 100.0 / (1 + 0.4 * 0.7 * (2 / 3) ** 1.5 * 0.4)
    run = verified(
        reading(("a", 100.0), share=40.0),
        reading(("b", 100.0), share=40.0),
        reading(("a", kept), ("b", kept), share=70.0),
    )
    found = calibrate([run])
    assert found.contention_factor == pytest.approx(0.7, abs=0.011)
    assert found.key == ("H200", SharingMode.MPS)
    assert found.retention_margin_ratio is None  # two retentions teach no margin
    sets, shape = measured_sets(run.measurements), SHARING_SHAPES[SharingMode.MPS]
    assert fit_contention_factor(sets, shape)[1] == mean_absolute_error(
        sets, found.contention_factor, shape
    )
    profiles, records = tmp_path / "profiles.jsonl", tmp_path / "verified.jsonl"
    write_profiles(ProfileSet(records=(make_record(),)), profiles)
    records.write_text(run.model_dump_json() + "\n")
    command = ["calibrate", str(records), "--profiles", str(profiles)]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert read_profile_file(profiles).calibrations[0].num_sets == 1


def test_calibrating_keeps_a_profile_file_whose_last_line_does_not_end(
    tmp_path: Path,
) -> None:
    profiles, records = tmp_path / "profiles.jsonl", tmp_path / "verified.jsonl"
    write_profiles(ProfileSet(records=(make_record(),)), profiles)
    profiles.write_bytes(profiles.read_bytes().removesuffix(b"\n"))
    run = verified(
        reading(("a", 100.0), share=40.0),
        reading(("b", 100.0), share=40.0),
        reading(("a", 80.0), ("b", 80.0), share=70.0),
    )
    records.write_text(run.model_dump_json() + "\n")
    command = ["calibrate", str(records), "--profiles", str(profiles)]

    assert CliRunner().invoke(app, command).exit_code == 0
    assert CliRunner().invoke(app, command).exit_code == 0

    found = read_profile_file(profiles)
    assert (len(found.records), len(found.calibrations)) == (1, 2)


def test_calibrating_two_gpu_types_at_once_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"H200 .*L4"):
        calibrate(
            [
                verified(reading(("a", 1.0), share=1.0)),
                verified(reading(("a", 1.0), share=1.0, gpu="L4")),
            ]
        )


def test_calibrating_with_a_missing_or_empty_file_says_so(tmp_path: Path) -> None:
    profiles, records = tmp_path / "profiles.jsonl", tmp_path / "verified.jsonl"
    write_profiles(ProfileSet(records=(make_record(),)), profiles)
    command = ["calibrate", str(records), "--profiles", str(profiles)]
    missing = CliRunner().invoke(app, command)
    assert isinstance(missing.exception, StoreError)
    assert "No such file" in str(missing.exception)
    records.touch()
    empty = CliRunner().invoke(app, command)
    assert isinstance(empty.exception, InvalidInputError)
    assert "nothing measured" in str(empty.exception)
