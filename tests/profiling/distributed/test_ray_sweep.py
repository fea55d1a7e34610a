"""A real Ray cluster of two nodes on this machine, with a real Triton on each."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

import gpupack
from gpupack.errors import InvalidInputError, ServerUnavailableError, StoreError
from gpupack.profiling import (
    MeasureOptions,
    ModelFileOptions,
    ModelRuntime,
    install_runtimes,
    profile_on_ray,
)
from gpupack.profiling.distributed.chunks import Chunk
from gpupack.profiling.distributed.worker import (
    RECORD,
    Assignment,
    PointWorker,
    fault_from,
    fault_of,
)
from gpupack.profiling.session import ServerOptions
from gpupack.profiling.sweep import AskedSweep, load_points
from gpupack.record_lines import parse_lines
from gpupack.records.profile import FailedLoadPoint, ProfileRecord
from tests.profiling.model_files.onnx_networks import write_classifier
from tests.profiling.served_models import write_model

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.triton,
    pytest.mark.usefixtures("installed"),
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="Ray is not installed"
    ),
]

QUICK = MeasureOptions(
    min_duration_s=0.3, max_duration_s=0.4, warm_up_s=0.01, percentile=50
)
POINTS = {
    (name, f"{size}x{load}") for name in "ab" for size in (1, 2) for load in (1, 2)
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in "ab":
        write_model(folder, name, execute="time.sleep(0.02)")
    return folder


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    cluster.add_node(num_cpus=1)
    yield cluster.address
    cluster.shutdown()


class Watch:
    """Notes which load point was finished how often, and on how many nodes."""

    def __init__(self) -> None:
        self.totals: tuple[int, int] = (0, 0)
        self.finished_keys: Counter[tuple[str, str]] = Counter()
        self.first = threading.Event()

    def begin(self, num_points: int, num_finished: int) -> None:
        self.totals = num_points, num_finished

    def working(self, text: str) -> None:
        """Do nothing."""

    def finished(self, outcome: ProfileRecord | FailedLoadPoint) -> None:
        self.finished_keys[outcome.model_name, str(outcome.load_point)] += 1
        self.first.set()


def sweep(
    address: str,
    repository: Path,
    store: Path,
    watch: Watch | None = None,
    **more: Any,
) -> Watch:
    watch = watch or Watch()
    profile_on_ray(
        address,
        model_repository=repository,
        gpus="host",
        batch_sizes=(1, 2),
        concurrency=(1, 2),
        store=store,
        options=QUICK,
        progress=watch,
        **more,
    )
    return watch


def keys(store: Path) -> Counter[tuple[str, str]]:
    return Counter(
        (one.model_name, str(one.load_point))
        for one in gpupack.read_profiles(store).records
    )


def worker_pids() -> list[int]:
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if " ".join(process.cmdline()).startswith("ray::_RemoteWorker"):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def test_two_workers_measure_every_point_once_and_a_second_run_none(
    address: str, repository: Path, tmp_path: Path
) -> None:
    store = tmp_path / "profiles.jsonl"

    first = sweep(address, repository, store)
    again = sweep(address, repository, store)

    assert first.totals == (8, 0)
    assert first.finished_keys == keys(store) == Counter(POINTS)
    assert again.totals == (8, 8)
    assert not again.finished_keys
    profiles = gpupack.read_profiles(store)
    assert len(profiles.baselines) == 1
    assert all(one.gpu_type.kind.value == "host" for one in profiles.records)
    # One instance that sleeps 20 ms answers less than 50 times a second.
    (slow,) = profiles.select("a", load_point="1x1").records
    assert slow.throughput_infer_per_sec is not None
    assert 0 < slow.throughput_infer_per_sec < 50
    assert slow.environment.source == "gpupack profile"


def test_the_store_is_read_by_a_gpupack_without_ray(
    address: str, repository: Path, tmp_path: Path
) -> None:
    store = tmp_path / "profiles.jsonl"
    sweep(address, repository, store, models="a")
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "import gpupack\n"
        f"print(len(gpupack.read_profiles({str(store)!r})))"
    )

    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert told.stdout.strip() == "4"


def test_a_killed_worker_loses_and_repeats_nothing(
    address: str, repository: Path, tmp_path: Path
) -> None:
    store = tmp_path / "profiles.jsonl"
    watch = Watch()
    before = set(worker_pids())
    killed: list[int] = []

    def kill_after_the_first_record() -> None:
        watch.first.wait(120)
        time.sleep(0.2)
        victim = next(pid for pid in worker_pids() if pid not in before)
        os.kill(victim, signal.SIGKILL)
        killed.append(victim)

    thread = threading.Thread(target=kill_after_the_first_record)
    thread.start()
    sweep(address, repository, store, watch)
    thread.join()

    assert len(killed) == 1
    assert watch.finished_keys == keys(store) == Counter(POINTS)


def test_instance_counts_are_variants_that_workers_share(
    address: str, repository: Path, tmp_path: Path
) -> None:
    store = tmp_path / "profiles.jsonl"

    first = sweep(address, repository, store, models="a", instances=(1, 2))
    again = sweep(address, repository, store, models="a", instances=(1, 2))

    assert first.totals == (8, 0)
    assert again.totals == (8, 8)
    assert keys(store) == Counter(
        ("a", f"{count}_instances:{size}x{load}")
        for count in (1, 2)
        for size in (1, 2)
        for load in (1, 2)
    )
    (two,) = gpupack.read_profiles(store).select("a", load_point="1x2").records[1:]
    assert two.num_model_instances == 2
    # Two that sleep 20 ms each answer up to 100 times a second, on a busy machine less.
    assert two.throughput_infer_per_sec is not None
    assert two.throughput_infer_per_sec < 100


def test_model_files_are_served_on_every_machine(address: str, tmp_path: Path) -> None:
    try:
        install_runtimes([ModelRuntime.ONNX])
    except ServerUnavailableError as err:
        pytest.skip(f"no ONNX Runtime here: {err}")
    store = tmp_path / "profiles.jsonl"
    write_classifier(tmp_path / "classifier.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x07half a file")

    told = subprocess.run(
        [
            *(sys.executable, "-m", "gpupack", "profile", "--ray", address),
            *("classifier.onnx", "broken.onnx", "--gpu", "host"),
            *("--batch", "1,4", "--concurrency", "1", "--instances", "1,2"),
            *("--min-seconds", "0.1", "--max-seconds", "0.3", "--warm-up", "0"),
            *("--store", str(store)),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert keys(store) == Counter(
        ("classifier", f"cpu-fp32-{count}_instances:{size}x1")
        for count in (1, 2)
        for size in (1, 4)
    ), told.stderr
    assert told.returncode == 2  # of one model nothing could be measured
    assert "broken" in told.stderr
    (record, *_) = gpupack.read_profiles(store).records
    assert "onnxruntime" in record.environment.libraries


def test_what_was_asked_for_wrongly_is_said_as_on_one_machine(
    address: str, repository: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError, match="has no model 'nobody'; it has a, b"):
        sweep(address, repository, tmp_path / "p.jsonl", models="nobody")
    with pytest.raises(InvalidInputError, match="same path"):
        sweep(address, tmp_path / "nowhere", tmp_path / "p.jsonl")
    with pytest.raises(InvalidInputError, match="offers a GPU"):
        profile_on_ray(address, model_repository=repository)
    with pytest.raises(InvalidInputError, match="on .*: there is no model file"):
        profile_on_ray(address, tmp_path / "gone.onnx", gpus="host")
    kept = ModelFileOptions(keep_repository=tmp_path / "kept")
    with pytest.raises(InvalidInputError, match="leave out --keep-repository"):
        profile_on_ray(address, "resnet.onnx", files=kept, gpus="host")
    with pytest.raises(TypeError, match=r"profile_on_ray\(\): .*'batchsizes'"):
        profile_on_ray(address, batchsizes=[1])  # type: ignore[call-arg]
    with pytest.raises(InvalidInputError, match="rather than the URL"):
        profile_on_ray(address, server=ServerOptions(url="http://x:8000"))


def test_a_store_of_other_models_is_refused(
    address: str, repository: Path, tmp_path: Path
) -> None:
    store = tmp_path / "profiles.jsonl"
    gpupack.write_profiles(gpupack.load_example("medical"), store)
    host = sweep(address, repository, tmp_path / "own.jsonl", models="a")
    assert host.totals == (4, 0)

    with pytest.raises(StoreError, match="not in this sweep"):
        sweep(address, repository, store, models="a")


def test_the_command_measures_on_a_cluster(
    address: str, repository: Path, tmp_path: Path
) -> None:
    told = subprocess.run(
        [
            *(sys.executable, "-m", "gpupack", "profile", "--ray", address),
            *("--model-repository", str(repository), "--models", "a", "--gpu", "host"),
            *("--batch", "1", "--concurrency", "1", "--max-seconds", "0.5"),
            *("--store", "p.jsonl"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert told.returncode == 0, told.stderr
    assert keys(tmp_path / "p.jsonl") == Counter({("a", "1x1"): 1})


class TestAddresses:
    """What is no cluster is named in a sentence."""

    @pytest.mark.parametrize(
        ("address", "told"),
        [
            ("not an address", "is no address of a Ray cluster; give HOST:PORT"),
            ("10.0.0.1:99999", "is no address"),
            (
                "127.0.0.1:1",
                "no Ray cluster answers at 127.0.0.1:1: Connection refused",
            ),
        ],
    )
    def test_an_address_at_which_nothing_is(
        self, address: str, told: str, repository: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(
            (InvalidInputError, ServerUnavailableError), match=told
        ) as found:
            sweep(address, repository, tmp_path / "p.jsonl")
        assert "\n" not in str(found.value)

    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (
                RuntimeError(
                    "Version mismatch: The cluster was started with:\n    Ray: 2.60.0\n"
                    "    Python: 3.12.4\nThis process on node 10.0.0.2 was started "
                    "with:\n    Ray: 2.60.0\n    Python: 3.11.7\n"
                ),
                "runs Python 3.12.4 and another version than this Python 3",
            ),
            (
                ConnectionError("Could not find any running Ray instance."),
                "there is no Ray cluster at 'auto': `ray start --head` starts one",
            ),
        ],
    )
    def test_what_ray_says_of_a_cluster_is_said_in_a_sentence(
        self,
        error: Exception,
        told: str,
        repository: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        import ray

        def refuse(**_: object) -> None:
            raise error

        monkeypatch.setattr(ray, "init", refuse)
        monkeypatch.setattr(ray, "is_initialized", lambda: False)

        with pytest.raises(ServerUnavailableError, match=told) as found:
            sweep("auto", repository, tmp_path / "p.jsonl")
        assert "\n" not in str(found.value)


def test_a_worker_measures_what_it_is_told_and_nothing_that_is_known(
    repository: Path,
) -> None:
    worker = PointWorker(
        Assignment(
            AskedSweep(
                ServerOptions(model_repository=str(repository)),
                load_points((1,), (1, 2)),
                options=QUICK,
            )
        ),
        "host",
    )
    facts = worker.open()
    chunk = Chunk("a", load_points((1,), (1, 2)))

    first = [text for kind, text in worker.measure(chunk) if kind == RECORD]
    again = [text for kind, text in worker.measure(chunk, first[:1]) if kind == RECORD]
    worker.close()

    assert facts.models == ("a", "b")
    records = list(parse_lines([one.encode() for one in first], "told"))
    assert [str(one.load_point) for one in records] == ["1x1", "1x2"]  # type: ignore[union-attr]
    assert len(again) == 1


def test_a_fault_comes_back_as_what_it_was() -> None:
    assert fault_from(fault_of(InvalidInputError("no such"))) == (True, "no such")
    assert fault_from(fault_of(StoreError("full"))) == (False, "full")
    assert fault_from(fault_of(ValueError("odd"))) == (False, "ValueError: odd")
