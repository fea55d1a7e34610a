"""Rounds on a real embedded Triton: causes that were planted are named."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import gpupack
from benchmarks.noisy_models import NoisyModel
from gpupack.cli.app import app
from gpupack.errors import InvalidInputError
from gpupack.profiling.measuring.measure_options import MeasureOptions
from gpupack.profiling.server.triton import TritonServer
from gpupack.records.gpu import DeviceKind, GpuType
from gpupack.records.running.verification import Outcome
from gpupack.store import read_verifications, write_placement
from gpupack.verifying import verify
from gpupack.verifying.round_options import RoundOptions
from tests.factories import MIB, make_baseline, make_record
from tests.profiling.conftest import installed  # noqa: F401 (a fixture)

HOST = GpuType(name="host", memory_bytes=65536 * MIB, kind=DeviceKind.HOST)
SLEEP_S = 0.02
MOST_PER_SEC = 1 / SLEEP_S


def placement_of(*names: str, rate: float = MOST_PER_SEC) -> gpupack.Placement:
    """A placement on one host that promises what models do that only sleep."""
    records = tuple(
        make_record(
            name,
            gpu_type=HOST,
            throughput_infer_per_sec=rate,
            gpu_memory_used_bytes=2000 * MIB,
            gpu_utilization_percent=5.0,
        )
        for name in names
    )
    return gpupack.place(
        gpupack.ProfileSet(records=records, baselines=(make_baseline(40, HOST),))
    )


@pytest.mark.triton
@pytest.mark.usefixtures("installed")
def test_planted_causes_are_named_rightly(tmp_path: Path) -> None:
    repository, lock = tmp_path / "models", tmp_path / "lock"
    expected = {
        NoisyModel("jittery", sleep_s=SLEEP_S, jitter=0.2): Outcome.KEPT,
        # Slower at this load by the stated factor, alone as beside others.
        NoisyModel(
            "slow_load", sleep_s=SLEEP_S, load_factors=(1.9,)
        ): Outcome.SLOWER_ALONE,
        # As fast as promised alone; two that share a lock have half each.
        NoisyModel("locked", sleep_s=0.0, locked_s=SLEEP_S, lock=lock): Outcome.BROKEN,
        NoisyModel(
            "locked_too", sleep_s=0.0, locked_s=SLEEP_S, lock=lock
        ): Outcome.BROKEN,
    }
    for model in expected:
        model.write(repository)
    # A third may be missing: servers and a busy machine take their part, too.
    result = verify(
        placement_of(*(model.name for model in expected)),
        model_repository=repository,
        gpu="host",
        tolerance=0.33,
        precision=0.1,
        max_seconds=120.0,
    )
    (gpu,) = result.gpus
    outcomes = {one.model_name: one.outcome for one in gpu.models}
    assert outcomes == {model.name: outcome for model, outcome in expected.items()}
    assert not result.is_kept
    told = "\n".join(gpu.broken)
    assert "50.0 when profiled, and its neighbors take no more than predicted" in told
    assert "beside its neighbors it keeps 0.5" in told
    for one in gpu.models:
        assert one.num_rounds is not None
        assert one.num_rounds >= 3
    *alone, together = gpu.measurements
    assert [len(one.models) for one in alone] == [1, 1, 1, 1]
    assert {one.round_index for one in together.models[0].rounds} >= {0, 1, 2}


@pytest.mark.triton
@pytest.mark.usefixtures("installed")
def test_a_server_that_loads_a_model_anew_in_between_leaves_nothing_known(
    tmp_path: Path,
) -> None:
    repository, store = tmp_path / "models", tmp_path / "verified.jsonl"
    NoisyModel("one", sleep_s=0.005).write(repository)
    NoisyModel("two", sleep_s=0.005).write(repository)
    with gpupack.EmbeddedServer(repository) as server:

        def disturb(text: str) -> None:
            if "round 2" in text and not disturbed:
                disturbed.append(text)
                with TritonServer(server.url) as control:
                    control.unload("one")
                    control.load("one")

        disturbed: list[str] = []
        result = verify(
            placement_of("one", "two", rate=1.0),
            server=server.url,
            gpu="host",
            store=store,
            precision=0.1,
            max_seconds=200.0,
            progress=disturb,
        )
    assert not result.is_kept
    assert not result.is_broken
    (gpu,) = result.gpus
    assert {one.outcome for one in gpu.models} == {Outcome.NOT_JUDGED}
    assert "one loaded anew: it had counted or answered" in gpu.warnings[-1]
    assert "every promise was kept" not in str(result)
    # The same command runs it again.
    assert [one.measurements for one in read_verifications(store)] == [()]


@pytest.mark.triton
@pytest.mark.usefixtures("installed")
def test_what_is_not_known_in_time_is_said_with_figures_and_exit_code_5(
    tmp_path: Path,
) -> None:
    repository, path = tmp_path / "models", tmp_path / "placement.json"
    NoisyModel("ragged", sleep_s=0.01, jitter=1.5).write(repository)
    NoisyModel("beside", sleep_s=0.01, jitter=1.5).write(repository)
    measured = verify(
        placement_of("ragged", "beside", rate=1.0),
        model_repository=repository,
        gpu="host",
        max_seconds=4.0,
    )
    rate = measured.gpus[0].models[0].together_infer_per_sec or 0.0
    # The promise lies where the model is: half a second cannot tell.
    write_placement(placement_of("ragged", "beside", rate=rate / 0.9), path)
    command = ["verify", str(path), "--model-repository", str(repository)]
    command += ["--gpu", "host", "--max-seconds", "0.5", "--precision", "3%"]
    run = CliRunner().invoke(app, command)
    if run.exit_code == 4:
        pytest.skip("the machine was too busy for the promise to stay undecided")
    assert run.exit_code == 5
    assert "not known within ±" in run.stdout


@pytest.mark.parametrize(
    ("precision", "max_seconds", "told"),
    [(0.0, None, "0.03 or 3%"), (2.0, None, "0.03 or 3%"), (None, 0.0, "above 0")],
)
def test_a_precision_or_time_that_there_is_none_of_is_refused(
    precision: float | None, max_seconds: float | None, told: str
) -> None:
    with pytest.raises(InvalidInputError, match=told):
        RoundOptions.of(precision, max_seconds, 0, None)


@pytest.mark.parametrize("precision", [0.03, "3%", " 3 % "])
def test_a_precision_is_a_share_or_a_text_of_percent(precision: float | str) -> None:
    assert RoundOptions.of(precision, None, 0, None).precision == 0.03


def test_a_stopping_rule_of_one_measurement_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="measures in rounds"):
        RoundOptions.of(None, None, 0, MeasureOptions(stopping_rule="three_windows"))


@pytest.mark.parametrize("text", ["0", "150", "x", "-3%"])
def test_the_shell_refuses_a_precision_that_there_is_none_of(
    text: str, tmp_path: Path
) -> None:
    path = tmp_path / "placement.json"
    write_placement(placement_of("one"), path)
    run = CliRunner().invoke(app, ["verify", str(path), f"--precision={text}"])
    assert isinstance(run.exception, InvalidInputError)
    assert "--precision" in str(run.exception)
