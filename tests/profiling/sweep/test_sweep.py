"""Whole sweeps against a real Triton, with faults that really happen."""

from __future__ import annotations

import dataclasses
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest

import gpupack
from gpupack.errors import (
    InvalidInputError,
    ServerError,
    StoreError,
    UnknownNameError,
)
from gpupack.profiling.embedded.embedded_server import EmbeddedServer
from gpupack.profiling.load.input_options import InputOptions
from gpupack.profiling.measuring.measure_options import MeasureOptions
from gpupack.profiling.sweep.run import profile
from gpupack.records.profile import FailedLoadPoint, ProfileRecord
from gpupack.store import read_profile_file
from tests.profiling.served_models import write_model

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.triton, pytest.mark.usefixtures("installed")]

QUICK = MeasureOptions(
    min_duration_s=0.1,
    max_duration_s=0.2,
    warm_up_s=0.01,
    percentile=50,
    request_timeout_s=0.5,
)


def sweep(repository: Path, models: str | list[str], **options: object) -> object:
    given: dict[str, object] = {
        "model_repository": repository,
        "batch_sizes": [1],
        "concurrency": [1],
        "options": QUICK,
    }
    return profile(models, **(given | options))


def points(profiles: gpupack.ProfileSet) -> list[str]:
    return [f"{one.model_name} {one.load_point}" for one in profiles.records]


class Watcher:
    """Calls a function when a load point begins, and remembers what was done."""

    def __init__(self, action: Callable[[str], None] | None = None) -> None:
        self.outcomes: list[ProfileRecord | FailedLoadPoint] = []
        self.begun: tuple[int, int] | None = None
        self._action = action

    def begin(self, num_points: int, num_finished: int) -> None:
        self.begun = num_points, num_finished

    def working(self, text: str) -> None:
        if self._action is not None:
            self._action(text)

    def finished(self, outcome: ProfileRecord | FailedLoadPoint) -> None:
        self.outcomes.append(outcome)


def test_a_sweep_measures_every_point_after_the_baseline(
    repository: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store.jsonl"

    profiles = sweep(
        repository,
        ["sleeper", "second"],
        batch_sizes=[2, 1],
        concurrency=[1, 2],
        store=store,
        export_path=tmp_path / "tables",
    )

    assert points(profiles) == [
        f"{name} {point}"
        for name in ("sleeper", "second")
        for point in ("1x1", "1x2", "2x1", "2x2")
    ]
    (baseline,) = profiles.baselines
    for record in profiles.records:
        # A model's process needs memory that the server alone does not.
        assert record.gpu_memory_used_bytes > baseline.gpu_memory_used_bytes
        assert record.environment.server_version == "2.51.0"
        assert record.environment.protocol == "http"
        assert record.windows
        assert record.server_compute_infer_us > 0
    assert read_profile_file(store) == profiles
    assert gpupack.read_profiles(tmp_path / "tables") is not None


def test_with_an_export_folder_alone_every_point_is_kept_in_it_at_once(
    repository: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "tables" / "profiles.jsonl"
    seen: list[int] = []

    def stop_at_the_third(text: str) -> None:
        if text == "sleeper at 1x3":
            seen.append(len(read_profile_file(kept)))
            raise KeyboardInterrupt

    options = {"concurrency": [1, 2, 3], "export_path": tmp_path / "tables"}
    with pytest.raises(KeyboardInterrupt):
        sweep(repository, "sleeper", progress=Watcher(stop_at_the_third), **options)
    watcher = Watcher()
    profiles = sweep(repository, "sleeper", progress=watcher, **options)

    assert seen == [2]
    assert watcher.begun == (3, 2)
    assert read_profile_file(kept) == profiles


def test_an_export_folder_that_cannot_be_used_is_refused_before_the_sweep(
    repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    watcher = Watcher()

    with pytest.raises(StoreError, match="cannot write exports"):
        sweep(
            repository,
            "sleeper",
            export_path=tmp_path / "file" / "tables",
            progress=watcher,
        )

    assert watcher.begun is None


def test_a_second_run_of_a_finished_sweep_measures_nothing(
    repository: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store.jsonl"
    first = sweep(repository, ["sleeper"], store=store)
    content = store.read_bytes()

    second = sweep(repository, ["sleeper"], store=store)

    assert second == first
    assert store.read_bytes() == content


def test_a_half_written_line_is_measured_again_and_the_rest_is_not(
    repository: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store.jsonl"
    first = sweep(repository, ["sleeper"], concurrency=[1, 2], store=store)
    lines = store.read_bytes().splitlines(keepends=True)
    store.write_bytes(b"".join(lines[:-1]) + lines[-1][:100])
    watcher = Watcher()

    second = sweep(
        repository, ["sleeper"], concurrency=[1, 2], store=store, progress=watcher
    )

    assert watcher.begun == (2, 1)
    assert [str(one.load_point) for one in watcher.outcomes] == ["1x2"]
    assert second.records[0] == first.records[0]
    assert read_profile_file(store) == second


FAULTS = {
    "refuser": ("load", "no weights here"),
    "crasher": ("warmup measure", "crasher"),
    "silent": ("warmup", "no response within 0.5 s"),
    "liar": ("warmup", "declares FP32"),
    "both": ("inputs", "stateful (sequence_batching) and decoupled at once"),
    "dynamic": ("inputs", "--shape X:64,4"),
}


def test_models_that_fail_are_failures_and_the_sweep_goes_on(repository: Path) -> None:
    profiles = sweep(repository, [*FAULTS, "sleeper"])

    assert [failure.model_name for failure in profiles.failures] == list(FAULTS)
    for failure in profiles.failures:
        stages, message = FAULTS[failure.model_name]
        assert failure.stage in stages.split()
        assert message in failure.message
    assert points(profiles) == ["sleeper 1x1"]


def test_a_server_killed_mid_window_is_restarted_and_the_sweep_goes_on(
    repository: Path,
) -> None:
    server = EmbeddedServer(repository)

    def kill(text: str) -> None:
        if text == "sleeper at 1x2":
            timer = threading.Timer(0.4, os.kill, (server.pid, signal.SIGKILL))
            timer.start()

    options = MeasureOptions(min_duration_s=1.0, max_duration_s=1.0, warm_up_s=0.01)
    profiles = sweep(
        repository,
        ["sleeper"],
        server=server,
        concurrency=[1, 2, 3],
        options=options,
        progress=Watcher(kill),
    )

    assert points(profiles) == ["sleeper 1x1", "sleeper 1x3"]
    (failure,) = profiles.failures
    assert failure.stage == "measure"
    assert "The embedded server exited; its log ends with" in failure.message
    assert not server.is_running


def test_a_running_server_that_dies_is_not_blamed_on_what_was_left_to_measure(
    repository: Path, tmp_path: Path
) -> None:
    options = {
        "batch_sizes": [1],
        "concurrency": [1, 2],
        "options": QUICK,
        "store": tmp_path / "store.jsonl",
    }
    names = ["sleeper", "second"]
    with EmbeddedServer(repository) as server:

        def kill_it(text: str) -> None:
            if text == "sleeper at 1x2":
                os.kill(server.pid, signal.SIGKILL)

        first = profile(names, server=server.url, progress=Watcher(kill_it), **options)

    stages = {f"{one.model_name} {one.load_point}": one.stage for one in first.failures}
    assert points(first) == ["sleeper 1x1"]
    assert stages.pop("sleeper 1x2") in ("warmup", "measure")
    assert stages == {"second 1x1": "server", "second 1x2": "server"}
    assert "start the server again" in first.failures[-1].message

    watcher = Watcher()
    with EmbeddedServer(repository) as server:
        again = profile(names, server=server.url, progress=watcher, **options)

    assert watcher.begun == (4, 2)
    assert points(again) == ["sleeper 1x1", "second 1x1", "second 1x2"]
    assert [str(one.load_point) for one in again.failures] == ["1x2"]


def test_models_that_triton_does_not_take_are_told_why_and_the_others_measured(
    tmp_path: Path,
) -> None:
    write_model(tmp_path, "empty", dims="[ 0 ]")
    write_model(tmp_path, "noversion")
    shutil.rmtree(tmp_path / "noversion" / "1")
    write_model(tmp_path, "with blank")
    write_model(tmp_path, "zzz")

    profiles = profile(
        model_repository=tmp_path, batch_sizes=[1], concurrency=[1], options=QUICK
    )

    assert points(profiles) == ["zzz 1x1"]
    told = {one.model_name: one.message for one in profiles.failures}
    assert sorted(told) == ["empty", "noversion", "with blank"]
    assert "dimension must be integer >= 1" in told["empty"]
    assert "at least one version must be available" in told["noversion"]
    assert "rename its folder" in told["with blank"]


def test_shapes_and_real_data_reach_the_model(repository: Path, tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, X=np.ones((5, 4), dtype=np.float32))

    by_shape = sweep(repository, "dynamic", inputs=InputOptions(shapes={"X": [3, 4]}))
    by_data = sweep(
        repository, "dynamic", batch_sizes=[2], inputs=InputOptions(data={"": path})
    )

    assert points(by_shape) == ["dynamic 1x1"]
    assert points(by_data) == ["dynamic 2x1"]


def test_a_batch_above_the_models_limit_fails_and_the_others_are_measured(
    repository: Path,
) -> None:
    profiles = sweep(repository, ["unbatched"], batch_sizes=[1, 2])

    assert points(profiles) == ["unbatched 1x1"]
    (failure,) = profiles.failures
    assert "max_batch_size: 0" in failure.message


def test_what_was_asked_for_wrongly_is_tried_again_with_the_right_question(
    repository: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store.jsonl"
    with pytest.raises(InvalidInputError, match="dynamic dimensions"):
        sweep(repository, "dynamic", store=store)

    profiles = sweep(
        repository, "dynamic", store=store, inputs=InputOptions(shapes={"X": [3, 4]})
    )

    assert points(profiles) == ["dynamic 1x1"]
    assert profiles.failures == ()


def test_a_failed_point_is_measured_again_only_on_request(tmp_path: Path) -> None:
    repository = tmp_path / "models"
    marker = tmp_path / "broken"
    marker.touch()
    write_model(
        repository,
        "moody",
        initialize=f"assert not os.path.exists({str(marker)!r})",
    )
    store = tmp_path / "store.jsonl"
    assert sweep(repository, "moody", store=store).failures
    marker.unlink()

    assert sweep(repository, "moody", store=store).failures
    again = sweep(repository, "moody", store=store, retry_failed=True)

    assert points(again) == ["moody 1x1"]
    assert again.failures == ()
    assert read_profile_file(store).failures == ()


def test_a_point_that_did_not_settle_is_measured_again_on_request_and_replaced(
    repository: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store.jsonl"
    options = {"concurrency": [1, 2], "store": store}
    # No interval is so narrow: no point settles.
    hopeless = dataclasses.replace(QUICK, half_width_ratio=1e-9)
    first = sweep(repository, "sleeper", options=hopeless, **options)
    assert [one.is_stable for one in first.records] == [False, False]
    easy = dataclasses.replace(QUICK, half_width_ratio=100.0)
    refused: list[str] = []

    def second_sweep(text: str) -> None:
        if text == "sleeper at 1x2":
            with pytest.raises(StoreError, match="another sweep is writing"):
                sweep(repository, "sleeper", **options)
            refused.append(text)

    kept = sweep(repository, "sleeper", options=easy, **options)
    again = sweep(
        repository,
        "sleeper",
        options=easy,
        retry_unstable=True,
        progress=Watcher(second_sweep),
        **options,
    )

    assert kept == first
    assert [one.is_stable for one in again.records] == [True, True]
    assert read_profile_file(store) == again
    # The file is still this sweep's alone after a record in it was replaced.
    assert refused == ["sleeper at 1x2"]


def test_a_store_measured_with_other_inputs_is_refused(
    repository: Path, tmp_path: Path
) -> None:
    store, path = tmp_path / "store.jsonl", tmp_path / "data.npz"
    np.savez(path, X=np.ones((3, 4), dtype=np.float32))
    asked = {"store": store, "concurrency": [1]}
    (record,) = sweep(
        repository, "dynamic", inputs=InputOptions(shapes={"X": [3, 4]}), **asked
    ).records
    assert record.environment.input_shapes == {"X": (3, 4)}
    content = store.read_bytes()

    for inputs, told in (
        (InputOptions(shapes={"X": [5, 4]}), "shape 3,4, not 5,4"),
        (InputOptions(shapes={"dynamic/X": [5, 4]}), "shape 3,4, not 5,4"),
        (InputOptions(shapes={"X": [3, 4]}, seed=1), "seed 0, not 1"),
        (InputOptions(data={"": path}), "random inputs, not those of"),
    ):
        with pytest.raises(StoreError, match=told):
            sweep(repository, "dynamic", inputs=inputs, **asked)
    assert store.read_bytes() == content


def test_other_options_than_those_in_the_store_are_told(
    repository: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = tmp_path / "store.jsonl"
    sweep(repository, "sleeper", store=store)
    longer = dataclasses.replace(QUICK, max_duration_s=0.3)

    sweep(repository, "sleeper", store=store, options=longer)

    assert "measured with max_duration_s 0.2, not 0.3" in caplog.text


def test_a_store_of_other_models_or_another_device_is_refused(
    repository: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store.jsonl"
    sweep(repository, "sleeper", store=store)

    with pytest.raises(StoreError, match="'sleeper', which is not in this sweep"):
        sweep(repository, "second", store=store)
    content = store.read_text().replace('"name":"host', '"name":"Other GPU')
    store.write_text(content)
    with pytest.raises(StoreError, match="was measured on Other GPU"):
        sweep(repository, "sleeper", store=store)
    assert store.read_text() == content


def test_a_store_that_another_sweep_writes_to_is_refused(
    repository: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store.jsonl"
    refused: list[str] = []

    def second_sweep(text: str) -> None:
        if text == "server only":
            with pytest.raises(StoreError, match="another sweep is writing"):
                sweep(repository, "sleeper", store=store)
            refused.append(text)

    sweep(repository, "sleeper", store=store, progress=Watcher(second_sweep))

    assert refused == ["server only"]


def test_unknown_models_and_empty_repositories_are_named(
    repository: Path, tmp_path: Path
) -> None:
    with pytest.raises(UnknownNameError, match=r"no model 'nothing'; it has .*sleeper"):
        sweep(repository, "nothing")
    with pytest.raises(InvalidInputError, match="no model repository at"):
        sweep(tmp_path / "nowhere", "sleeper")
    with pytest.raises(InvalidInputError, match=rf"{tmp_path} is empty"):
        profile(model_repository=tmp_path, options=QUICK)


def test_a_running_server_with_a_model_loaded_is_refused(
    repository: Path,
) -> None:
    from gpupack.profiling.server.triton import TritonServer

    with EmbeddedServer(repository) as server:
        TritonServer(server.url).load("sleeper")
        with pytest.raises(ServerError, match="has models loaded: sleeper"):
            profile("second", server=server.url, options=QUICK)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_model_that_cannot_load_does_not_block_later_runs_on_that_server(
    repository: Path, protocol: str
) -> None:
    with EmbeddedServer(repository) as server:
        options = {
            "server": server.url if protocol == "http" else server.grpc_url,
            "batch_sizes": [1],
            "concurrency": [1],
            "options": QUICK,
        }
        failed = profile(["refuser"], **options)
        profiles = profile(["sleeper"], **options)

    assert "no weights here" in failed.failures[0].message
    # The server was reached: the address is not to blame.
    assert "is the server running there" not in failed.failures[0].message
    assert points(profiles) == ["sleeper 1x1"]


def test_a_running_server_is_profiled_by_url_and_left_running(
    repository: Path,
) -> None:
    with EmbeddedServer(repository) as server:
        profiles = profile(
            "sleeper",
            server=server.grpc_url,
            batch_sizes=[1],
            concurrency=[1],
            options=QUICK,
        )
        assert server.is_running

    assert profiles.records[0].environment.protocol == "grpc"


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "2"])
def test_batch_sizes_and_concurrencies_are_whole_numbers_from_one(
    repository: Path, value: object
) -> None:
    with pytest.raises(InvalidInputError, match="whole number of at least 1"):
        sweep(repository, "sleeper", batch_sizes=[value])
    with pytest.raises(InvalidInputError, match="whole number of at least 1"):
        sweep(repository, "sleeper", concurrency=[value])


COMMAND = [
    sys.executable,
    "-m",
    "gpupack",
    "profile",
    "--models=sleeper",
    "--batch=1,2",
    "--concurrency=1,2,3",
    "--min-seconds=0.3",
    "--max-seconds=0.3",
    "--warm-up=0",
]


def start(repository: Path, store: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, f"--model-repository={repository}", f"--store={store}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_lines(store: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while not store.exists() or store.read_bytes().count(b"\n") < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def servers_of(repository: Path) -> set[int]:
    return {
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if f"--model-repository={repository}" in (process.info["cmdline"] or [])
        and "tritonserver" in (process.info["cmdline"] or [""])[0]
    }


def _first_load(record: ProfileRecord) -> float | None:
    first = record.loads[0] if record.loads else record
    return first.throughput_infer_per_sec


def test_after_kill_9_nothing_is_lost_repeated_or_left_running(
    repository: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store.jsonl"
    of_other_tests = servers_of(repository)
    process = start(repository, store)
    wait_for_lines(store, 4)  # the baseline and three points
    process.kill()
    process.communicate()
    before = store.read_bytes()
    finished = tmp_path / "finished.jsonl"
    finished.write_bytes(before[: before.rfind(b"\n") + 1])

    second = start(repository, store)
    second.communicate(timeout=60)

    assert second.returncode == 0
    records = read_profile_file(store).records
    now = {record.key: record for record in records}
    assert len(records) == len(now) == 6
    for one in read_profile_file(finished).records:
        later = now[one.key]
        # One point is measured in a second load, beside what the first one read.
        assert later == one or _first_load(later) == _first_load(one)
    deadline = time.monotonic() + 10
    while servers_of(repository) - of_other_tests and time.monotonic() < deadline:
        time.sleep(0.1)
    assert servers_of(repository) <= of_other_tests


def test_ctrl_c_ends_with_a_usable_file_and_no_server(
    repository: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store.jsonl"
    of_other_tests = servers_of(repository)
    process = start(repository, store)
    wait_for_lines(store, 2)

    process.send_signal(signal.SIGINT)
    # The promise is five seconds, of a machine that does nothing else.
    _, told = process.communicate(timeout=20)

    assert process.returncode == 130
    assert "run the same command again" in told
    assert len(read_profile_file(store)) >= 1
    assert servers_of(repository) <= of_other_tests


def test_a_full_disk_ends_the_sweep_with_everything_before_it(
    repository: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store.jsonl"
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    held: list[bytes] = []

    def fill(text: str) -> None:
        if text == "sleeper at 1x2":
            held.append(store.read_bytes())
            # What a full disk is to a program: no file may grow beyond this size.
            limit = (len(held[0]) + 100, unlimited[1])
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)

    try:
        with pytest.raises(StoreError, match="cannot append to"):
            sweep(
                repository,
                "sleeper",
                concurrency=[1, 2, 3],
                store=store,
                progress=Watcher(fill),
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert store.read_bytes().startswith(held[0])
    assert len(read_profile_file(store, recover=True)) == 1

    mended = sweep(repository, "sleeper", concurrency=[1, 2, 3], store=store)

    assert points(mended) == ["sleeper 1x1", "sleeper 1x2", "sleeper 1x3"]
