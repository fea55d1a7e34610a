"""Repositories as they are: ensembles, calls between models, versions, caches."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from gpupack import place, verify
from gpupack.errors import InvalidInputError, StoreError, UnknownNameError
from gpupack.profiling.embedded.completion import completes_configurations
from gpupack.profiling.embedded.embedded_server import EmbeddedServer
from gpupack.profiling.embedded.installation import find_installation
from gpupack.profiling.load.input_options import InputOptions
from gpupack.profiling.server.triton import TritonServer
from gpupack.profiling.session.server_options import ServerOptions
from gpupack.profiling.sweep.run import profile
from gpupack.store import read_profile_file
from tests.profiling.served_models import (
    STATEFUL,
    STATEFUL_CONFIG,
    STREAMING,
    write_model,
)
from tests.profiling.sweep.test_sweep import QUICK, Watcher, points

pytestmark = [pytest.mark.triton, pytest.mark.usefixtures("installed")]

PATIENT = dataclasses.replace(QUICK, request_timeout_s=10.0)
MIB = 2**20
BALLAST_MIB = 200

ENSEMBLE = """\
platform: "ensemble"
max_batch_size: 8
input [{ name: "X" data_type: TYPE_FP32 dims: [ 16 ] }]
output [{ name: "Y" data_type: TYPE_FP32 dims: [ 16 ] }]
ensemble_scheduling { step [
  { model_name: "prep" model_version: -1
    input_map { key: "X" value: "X" } output_map { key: "Y" value: "mid" } },
  { model_name: "core" model_version: -1
    input_map { key: "X" value: "mid" } output_map { key: "Y" value: "Y" } }
] }
"""
CALL = """inner = pb_utils.InferenceRequest(model_name="classify",
                requested_output_names=["Y"],
                inputs=[pb_utils.get_input_tensor_by_name(request, "X")])
            answer = inner.exec()
            if answer.has_error():
                raise pb_utils.TritonModelException({error})"""
COMPLETED = """\
import time
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config):
        {first}
        config.set_max_batch_size(4)
        config.add_input({{"name": "X", "data_type": "TYPE_FP32", "dims": [4]}})
        config.add_output({{"name": "Y", "data_type": "TYPE_FP32", "dims": [4]}})
        return config

    def execute(self, requests):
        return [
            pb_utils.InferenceResponse(
                [
                    pb_utils.Tensor(
                        "Y", pb_utils.get_input_tensor_by_name(one, "X").as_numpy()
                    )
                ]
            )
            for one in requests
        ]
"""


def write_ensemble(repository: Path) -> None:
    write_model(repository, "prep")
    write_model(
        repository, "core", initialize=f"self.ballast = np.ones({BALLAST_MIB} * 2**17)"
    )
    (repository / "pipeline" / "1").mkdir(parents=True)
    (repository / "pipeline" / "config.pbtxt").write_text(ENSEMBLE)
    write_model(repository, "unrelated")


def write_completed(repository: Path, name: str, *, first: str = "pass") -> None:
    (repository / name / "1").mkdir(parents=True)
    code = COMPLETED.format(first=first)
    (repository / name / "1" / "model.py").write_text(code)


def write_bare_batch(repository: Path, *, inputs: str, outputs: str) -> None:
    """Write a model that takes its batch in its tensors' shapes."""
    write_model(
        repository,
        "reranker",
        execute="time.sleep(0.01)",
        max_batch_size=0,
        body=None,
    )
    config = repository / "reranker" / "config.pbtxt"
    config.write_text(
        'backend: "python"\nmax_batch_size: 0\n'
        f'input [{{ name: "X" data_type: TYPE_FP32 dims: {inputs} }}]\n'
        f'output [{{ name: "Y" data_type: TYPE_FP32 dims: {outputs} }}]\n'
        "instance_group [{ kind: KIND_CPU }]\n"
    )


def sweep(repository: Path, models: list[str], **options: object) -> object:
    given: dict[str, object] = {
        "model_repository": repository,
        "batch_sizes": [1],
        "concurrency": [1],
        "options": PATIENT,
    }
    return profile(models, **(given | options))


@pytest.mark.parametrize("is_ours", [True, False])
def test_after_an_ensemble_its_models_are_unloaded_too(
    tmp_path: Path, is_ours: bool
) -> None:
    write_ensemble(tmp_path)
    names = ["pipeline", "unrelated"]

    with EmbeddedServer(tmp_path) as server:
        if is_ours:
            TritonServer(server.url).load("core")
            profiles = sweep(tmp_path, names, server=server, model_repository=None)
        else:
            profiles = sweep(tmp_path, names, server=server.url, model_repository=None)
            assert TritonServer(server.url).ready_models() == frozenset()

    assert points(profiles) == ["pipeline 1x1", "unrelated 1x1"]
    pipeline, unrelated = profiles.records
    assert pipeline.helpers == ("core", "prep")
    assert unrelated.helpers == ()
    assert pipeline.gpu_memory_used_bytes > BALLAST_MIB * MIB
    assert unrelated.gpu_memory_used_bytes < BALLAST_MIB * MIB
    assert pipeline.host_memory_bytes > BALLAST_MIB * MIB
    assert pipeline.host_cpu_cores == pytest.approx(pipeline.server_cpu_percent / 100)


@pytest.mark.parametrize("is_ours", [True, False])
def test_what_two_units_share_is_measured_by_itself_and_there_once(
    tmp_path: Path, is_ours: bool
) -> None:
    write_ensemble(tmp_path)
    write_model(tmp_path, "second_prep")
    (tmp_path / "second" / "1").mkdir(parents=True)
    (tmp_path / "second" / "config.pbtxt").write_text(
        ENSEMBLE.replace('"prep"', '"second_prep"')
    )
    call = CALL.replace('"classify"', '"core"')
    write_model(
        tmp_path, "caller", execute=call.format(error="answer.error().message()")
    )
    names = ["pipeline", "second", "caller"]

    with EmbeddedServer(tmp_path) as server:
        control = TritonServer(server.url)
        if is_ours:
            profiles = sweep(tmp_path, names)
        else:
            options = {"server": server.url, "model_repository": None}
            profiles = sweep(tmp_path, names, **options)
        assert control.ready_models() == frozenset()

        measured = {record.model_name: record for record in profiles.records}
        for name in names:
            parts = {one.model_name: one for one in measured[name].helper_memory}
            assert tuple(sorted(parts)) == measured[name].helpers
            assert "core" in parts
            core = parts["core"]
            assert BALLAST_MIB * MIB < core.memory_bytes < 1.5 * BALLAST_MIB * MIB
            assert core.versions == (1,)
        (baseline,) = profiles.baselines
        alone = [
            record.gpu_memory_used_bytes - baseline.gpu_memory_used_bytes
            for record in measured.values()
        ]
        # Both preparations and the caller are small; of the core there is one.
        room = baseline.gpu_memory_used_bytes + sum(alone) - BALLAST_MIB * MIB
        gpu = profiles.records[0].gpu_type.model_copy(update={"memory_bytes": room})
        placement = place(profiles, gpus={gpu: 1}, allow_unstable=True)
        (shared,) = placement.gpus[0].shared_models
        assert shared.model_name == "core"
        assert shared.callers == ("caller", "pipeline", "second")
        assert shared.saved_bytes > 2 * BALLAST_MIB * MIB
        assert placement.gpus[0].memory_bytes <= room

        # Its memory is asked for: rates need not be known well.
        verification = verify(
            placement, server=server.url, precision=0.5, options=PATIENT
        )

    (verified,) = verification.gpus
    assert verified.memory_predicted_bytes == placement.gpus[0].memory_bytes
    assert verified.memory_measured_bytes < room
    assert not any("MiB were used" in text for text in verified.broken)


def test_a_model_that_somebody_else_loads_meanwhile_is_named_and_refused(
    repository: Path,
) -> None:
    with EmbeddedServer(repository) as server:
        control = TritonServer(server.url)

        def load_another(text: str) -> None:
            if text == "sleeper at 1x2":
                control.load("second")

        profiles = sweep(
            repository,
            ["sleeper", "strings"],
            server=server.url,
            model_repository=None,
            concurrency=[1, 2],
            progress=Watcher(load_another),
        )
        assert control.ready_models() == {"second"}

    assert points(profiles) == ["sleeper 1x1"]
    assert [one.stage for one in profiles.failures] == ["server"] * 3
    for failure in profiles.failures:
        assert "not part of this sweep: second" in failure.message


@pytest.mark.parametrize(
    "error", ["answer.error().message()", '"something went wrong"']
)
def test_a_model_that_calls_another_is_measured_with_it(
    tmp_path: Path, error: str
) -> None:
    write_model(tmp_path, "classify")
    write_model(tmp_path, "pipeline", execute=CALL.format(error=error))

    profiles = sweep(tmp_path, ["pipeline"], concurrency=[1, 2])

    assert points(profiles) == ["pipeline 1x1", "pipeline 1x2"]
    assert profiles.failures == ()
    assert {record.helpers for record in profiles.records} == {("classify",)}


def test_a_placement_of_a_caller_is_verified_with_what_it_calls(tmp_path: Path) -> None:
    write_model(tmp_path, "classify")
    error = "answer.error().message()"
    write_model(tmp_path, "pipeline", execute=CALL.format(error=error))
    profiles = sweep(tmp_path, ["pipeline"])

    with EmbeddedServer(tmp_path) as server:
        verification = verify(
            place(profiles, allow_unstable=True),
            server=server.url,
            precision=0.5,
            options=PATIENT,
        )
        assert TritonServer(server.url).ready_models() == frozenset()

    (gpu,) = verification.gpus
    (verdict,) = gpu.models
    assert verdict.alone_infer_per_sec > 0


def test_a_running_server_needs_no_more_to_be_told_about_calls(tmp_path: Path) -> None:
    write_model(tmp_path, "classify")
    error = "answer.error().message()"
    write_model(tmp_path, "pipeline", execute=CALL.format(error=error))

    with EmbeddedServer(tmp_path) as server:
        options = {"server": server.grpc_url, "model_repository": None}
        found = sweep(tmp_path, ["pipeline"], **options)
        given = sweep(
            tmp_path, ["pipeline"], helpers={"pipeline": "classify"}, **options
        )
        assert TritonServer(server.url).ready_models() == frozenset()

    assert found.records[0].helpers == given.records[0].helpers == ("classify",)


def test_configurations_are_completed_and_a_load_that_hangs_ends_in_time(
    tmp_path: Path,
) -> None:
    write_completed(tmp_path, "hanging", first="time.sleep(3600)")
    write_completed(tmp_path, "self_described")
    (tmp_path / "self_described" / "config.pbtxt").write_text("")

    profiles = sweep(
        tmp_path,
        ["hanging", "self_described"],
        model_repository=None,
        server=ServerOptions(model_repository=tmp_path, load_timeout_s=6),
    )

    assert points(profiles) == ["self_described 1x1"]
    (failure,) = profiles.failures
    assert (failure.model_name, failure.stage) == ("hanging", "load")
    assert "within 6 s" in failure.message


def test_a_load_that_fails_leaves_nothing_on_a_running_server(tmp_path: Path) -> None:
    write_ensemble(tmp_path)
    code = tmp_path / "core" / "1" / "model.py"
    code.write_text(code.read_text().replace("self.ballast =", "raise ValueError; x ="))

    with EmbeddedServer(tmp_path) as server:
        profiles = sweep(
            tmp_path,
            ["pipeline", "unrelated"],
            server=server.url,
            model_repository=None,
        )
        assert TritonServer(server.url).ready_models() == frozenset()

    assert [one.model_name for one in profiles.failures] == ["pipeline"]
    assert points(profiles) == ["unrelated 1x1"]


def test_options_for_models_that_are_not_there_are_refused(repository: Path) -> None:
    with pytest.raises(UnknownNameError, match="given for 'nobody'"):
        sweep(repository, ["sleeper"], helpers={"sleeper": "nobody"})
    with pytest.raises(UnknownNameError, match="given for 'nobody'"):
        sweep(repository, ["sleeper"], versions={"nobody": 1})


def test_only_repositories_that_need_it_pay_for_completing(tmp_path: Path) -> None:
    write_model(tmp_path, "plain")
    assert not completes_configurations(tmp_path)

    config = tmp_path / "plain" / "config.pbtxt"
    complete = config.read_text()
    for left_out in ("input", "output", "backend", "max_batch_size"):
        config.write_text(complete.replace(left_out, "# "))
        assert completes_configurations(tmp_path)
    config.write_text(complete)
    write_completed(tmp_path, "described")
    (tmp_path / "described" / "config.pbtxt").write_text(complete)
    assert completes_configurations(tmp_path)


def test_a_batch_in_the_shape_is_found_and_throughput_counts_items(
    tmp_path: Path,
) -> None:
    repository, store = tmp_path / "models", tmp_path / "store.jsonl"
    write_bare_batch(repository, inputs="[ -1, -1 ]", outputs="[ -1, -1 ]")
    asked = {"batch_sizes": [1, 8], "store": store}

    found = sweep(repository, ["reranker"], inputs=shape(16), **asked)
    again = sweep(repository, ["reranker"], inputs=shape(8, 16), **asked)
    fixed = sweep(repository, ["reranker"], inputs=shape(8, 16))

    assert points(found) == ["reranker 1x1", "reranker 8x1"]
    assert again == found
    assert points(fixed) == ["reranker 8x1"]
    for record in (*found.records, *fixed.records):
        assert record.batch_dim == 0
        assert record.environment.input_shapes == {"X": (16,)}
        # It sleeps 10 ms per request, whatever the batch: never 100 requests/s.
        assert record.requests_per_sec < 100
        counted = sum(window.num_requests for window in record.windows)
        seconds = sum(window.duration_s for window in record.windows)
        assert record.throughput_infer_per_sec == pytest.approx(
            counted / seconds * record.load_point.batch_size, rel=0.2
        )


def shape(*sizes: int) -> InputOptions:
    return InputOptions(shapes={"X": sizes})


def test_which_dimension_is_the_batch_can_be_said(tmp_path: Path) -> None:
    write_bare_batch(tmp_path, inputs="[ 16, -1 ]", outputs="[ 16, -1 ]")
    said = InputOptions(batch_dims={"reranker": 1})

    profiles = sweep(tmp_path, ["reranker"], batch_sizes=[2], inputs=said)

    (record,) = profiles.records
    assert record.batch_dim == 1
    assert record.environment.input_shapes == {"X": (16,)}
    with pytest.raises(InvalidInputError, match="no input has a dimension 2"):
        sweep(tmp_path, ["reranker"], inputs=InputOptions(batch_dims={"": 2}))


def test_a_dimension_that_responses_do_not_follow_is_not_taken_for_the_batch(
    tmp_path: Path,
) -> None:
    write_bare_batch(tmp_path, inputs="[ -1, 4 ]", outputs="[ -1, 4 ]")
    code = tmp_path / "reranker" / "1" / "model.py"
    code.write_text(code.read_text().replace(".as_numpy()", ".as_numpy()[:1]"))

    profiles = sweep(tmp_path, ["reranker"], batch_sizes=[1, 2])

    assert points(profiles) == ["reranker 1x1"]
    assert "say with --batch-dim" in profiles.failures[0].message


def cached(installation: Path, repository: Path) -> EmbeddedServer:
    caches = installation / "pytriton" / "tritonserver" / "caches"
    return EmbeddedServer(
        repository,
        arguments=[f"--cache-directory={caches}", "--cache-config=local,size=1048576"],
    )


@pytest.mark.parametrize(
    ("protocol", "datatype"), [("http", "TYPE_FP32"), ("grpc", "TYPE_STRING")]
)
def test_a_model_with_a_response_cache_is_measured_with_distinct_inputs(
    tmp_path: Path, protocol: str, datatype: str
) -> None:
    write_model(
        tmp_path,
        "cached",
        execute="time.sleep(0.02)",
        datatype=datatype,
        extra="response_cache { enable: true }",
    )
    found = find_installation()
    assert found is not None
    with cached(found.root, tmp_path) as server:
        url = server.url if protocol == "http" else server.grpc_url
        profiles = sweep(tmp_path, ["cached"], server=url, model_repository=None)

    (record,) = profiles.records
    # Each request sleeps 20 ms.
    assert record.throughput_infer_per_sec < 50
    assert not any("response cache" in text for text in record.warnings)


def test_answers_from_a_cache_are_told_where_the_server_counts_them(
    tmp_path: Path,
) -> None:
    # One element of two values: there are two different requests, and no more.
    write_model(
        tmp_path,
        "cached",
        datatype="TYPE_BOOL",
        dims="[ 1 ]",
        extra="response_cache { enable: true }",
    )
    found = find_installation()
    assert found is not None
    with cached(found.root, tmp_path) as server:
        (with_cache,) = sweep(
            tmp_path, ["cached"], server=server.url, model_repository=None
        ).records
    (without,) = sweep(tmp_path, ["cached"]).records

    assert any("from its response cache" in text for text in with_cache.warnings)
    assert not any("response cache" in text for text in without.warnings)


def test_a_model_that_rejects_random_inputs_is_told_how_to_give_real_ones(
    tmp_path: Path,
) -> None:
    repository, data = tmp_path / "models", tmp_path / "data.jsonl"
    write_model(
        repository,
        "reader",
        initialize="import json; self.parse = json.loads",
        execute="self.parse(pb_utils.get_input_tensor_by_name(request, 'X')"
        ".as_numpy()[0][0])",
        datatype="TYPE_STRING",
        dims="[ 1 ]",
    )
    data.write_text('{"X": "{\\"prompt\\": 1}"}\n')

    rejected = sweep(repository, ["reader"])
    taken = sweep(repository, ["reader"], inputs=InputOptions(data={"": data}))

    (failure,) = rejected.failures
    assert "JSONDecodeError" in failure.message
    assert "--data" in failure.message
    assert points(taken) == ["reader 1x1"]


def test_one_version_is_measured_and_kept_apart_in_the_store(tmp_path: Path) -> None:
    repository, store = tmp_path / "models", tmp_path / "store.jsonl"
    write_model(repository, "several")
    newest = repository / "several" / "7"
    newest.mkdir()
    code = (repository / "several" / "1" / "model.py").read_text()
    was_loaded = tmp_path / "loaded"
    # It may be too large for the GPU, or broken.
    (newest / "model.py").write_text(
        code.replace("self.count = 0", f"open({str(was_loaded)!r}, 'w')")
    )

    profiles = sweep(repository, ["several"], versions=1, store=store)

    assert points(profiles) == ["several 1x1"]
    assert profiles.records[0].model_version == 1
    assert not was_loaded.exists()
    with pytest.raises(StoreError, match="version 1, this sweep is of the version"):
        sweep(repository, ["several"], store=store)
    write_completed(repository, "completed")
    (repository / "completed" / "1").rename(repository / "completed" / "2")
    write_completed(repository, "completed", first=f"open({str(was_loaded)!r}, 'w')")
    (repository / "completed" / "1").rename(repository / "completed" / "7")
    (other,) = sweep(repository, ["completed"], versions=2).records
    assert other.model_version == 2
    assert not was_loaded.exists()
    unknown = sweep(repository, ["several"], versions={"several": 3})
    assert [one.stage for one in unknown.failures] == ["load"]


def write_many_kinds(repository: Path, data: Path) -> list[str]:
    """Write a repository of twelve kinds of models; return the options for them."""
    write_ensemble(repository)
    write_completed(repository, "self_described")
    write_bare_batch(repository, inputs="[ -1, -1 ]", outputs="[ -1, -1 ]")
    write_model(repository, "unbatched", max_batch_size=0, dims="[ 4 ]")
    write_model(repository, "classify")
    call = CALL.format(error="answer.error().message()")
    write_model(repository, "caller", execute=call)
    write_model(repository, "versions")
    newest = repository / "versions" / "7"
    newest.mkdir()
    code = (repository / "versions" / "1" / "model.py").read_text()
    (newest / "model.py").write_text(code.replace("y = ", "raise ValueError(7); y = "))
    more = 'name: "MORE" data_type: TYPE_INT32 dims: [ 1 ] optional: true'
    write_model(repository, "optional", extra=f"input [{{ {more} }}]")
    write_model(repository, "cached", extra="response_cache { enable: true }")
    write_model(repository, "stateful", extra=STATEFUL_CONFIG, body=STATEFUL)
    write_model(
        repository,
        "streaming",
        extra="model_transaction_policy { decoupled: True }",
        body=STREAMING,
    )
    text = "pb_utils.get_input_tensor_by_name(request, 'X').as_numpy()[0][0]"
    write_model(
        repository,
        "reader",
        initialize="import json; self.parse = json.loads",
        execute=f"self.parse({text})",
        datatype="TYPE_STRING",
        dims="[ 1 ]",
    )
    write_model(
        repository,
        "images",
        execute=f"assert {text}.startswith(b'\\x89PNG')",
        datatype="TYPE_STRING",
        dims="[ 1 ]",
    )
    (data / "pictures").mkdir(parents=True)
    for number in range(3):
        (data / "pictures" / f"{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    entry = {"X": {"content": ['{"prompt": 1}'], "shape": [1]}}
    (data / "prompts.json").write_text(json.dumps({"data": [entry]}))
    return [
        *("--data", f"reader={data / 'prompts.json'}"),
        *("--data", f"images={data / 'pictures'}"),
        *("--version", "versions=1", "--shape", "reranker/X:16"),
        *("--sequence-length", "5"),
    ]


KINDS = (
    *("caller", "images", "optional", "pipeline", "reader", "reranker"),
    *("self_described", "stateful", "streaming", "unbatched", "versions", "cached"),
)


def test_a_repository_of_twelve_kinds_is_profiled_by_one_command(
    tmp_path: Path,
) -> None:
    repository, store = tmp_path / "models", tmp_path / "store.jsonl"
    options = write_many_kinds(repository, tmp_path / "data")
    command = [
        *(sys.executable, "-m", "gpupack", "profile", "--store", str(store)),
        *("--models", ",".join(KINDS)),
        *("--model-repository", str(repository), "--batch", "1,2"),
        *("--concurrency", "1"),
        *(
            "--min-seconds",
            "0.1",
            "--max-seconds",
            "0.2",
            "--warm-up",
            "0",
            "--loads",
            "1",
        ),
    ]

    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=200, check=False
    )

    assert done.returncode == 0, done.stderr
    profiles = read_profile_file(store)
    measured = {record.model_name: record for record in profiles.records}
    assert set(measured) == set(KINDS)
    assert measured["pipeline"].helpers == ("core", "prep")
    assert measured["caller"].helpers == ("classify",)
    assert measured["reranker"].batch_dim == 0
    assert measured["versions"].model_version == 1
    assert measured["stateful"].sequence_length == 5
    assert measured["streaming"].stream is not None
    assert any("MORE" in note for note in measured["optional"].environment.notes)
    for name in ("reader", "images"):
        assert measured[name].environment.input_data_sha256 is not None
    # The batch sizes that cannot be are said, and are no error.
    told = {one.model_name: one.message for one in profiles.failures}
    assert set(told) == {"stateful", "unbatched"}, told
    assert {one.load_point.batch_size for one in profiles.failures} == {2}
    assert "one step of one sequence" in told["stateful"]
    assert "--batch-dim" in told["unbatched"]

    command[command.index("--models") + 1] = "reranker,unbatched"
    command[command.index(str(store))] = str(tmp_path / "other.jsonl")
    without_shape = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False
    )
    assert without_shape.returncode == 2
    assert "--shape X:64" in " ".join(without_shape.stderr.split())
