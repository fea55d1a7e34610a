"""Who works in a shell is told flags and commands, never Python."""

from __future__ import annotations

import contextvars
import re
import shlex
import sys
from pathlib import Path

import pytest

import gpupack
from gpupack.cli.app import run
from gpupack.records.request import RequestArguments

TABLE = """\
model,throughput,gpu_util,mem_util,memory_mib,p99_ms,gpu
,,0,0,400,,T4
a,100,40,10,1000,9,T4
b,100,90,,9000,9,T4
"""
FILES = {
    "models.csv": TABLE,
    "full.csv": TABLE.replace("90,,", "90,20,"),
    "no_unit.csv": "model,throughput,memory,gpu_util\na,100,0.5,40\nb,100,0.7,40\n",
    "shares.csv": "model,throughput,gpu_util,memory_mib\na,9,0.4,500\nb,9,60,500\n",
    "twice.csv": "model,throughput,tput,memory_mib\na,100,90,500\n",
    "text.csv": "one,two\nthree,four\n",
    "alone.csv": TABLE.replace(",gpu\n", ",card\n"),
    "again.csv": TABLE.replace("90,,", "90,20,") + "a,90,41,11,1001,9,T4\n",
    "old.json": '{"kind": "placement", "schema_version": 1}',
}
COMMANDS = [
    "place models.csv --objective max_throughput",
    "place full.csv --headroom 80",
    "place full.csv --headroom 0.2 --gpus 1",
    "place full.csv --min-retention 90",
    "place full.csv --min-retention 0.99 --gpus T4=1 --explain",
    "place full.csv --min-retention 0.99 --explain",
    "place full.csv --demand a=90 --gpus T4=1 --explain",
    "place full.csv --demand a=1e6 --gpus T4=1",
    "place full.csv --demand a=80 --demand b=80 --demand-met predicted --gpus T4=1",
    "place full.csv --demand a=50 --min-traffic a=80 --replicas a=2",
    "place full.csv --demand a=50 --max-replicas 1 --replicas 2",
    "place full.csv --demand c=50",
    "place full.csv --latency-limit 1",
    "place full.csv --latency-limit 50 --latency-percentile 77",
    "place full.csv --latency predicted --latency-limit 50",
    "place full.csv --contention predicted",
    "place full.csv --max-gpus 3",
    "place full.csv --max-gpus 3 --max-price 3 --objective max_throughput",
    "place full.csv --weight a=2",
    "place full.csv --fairness max_min --objective max_throughput",
    "place full.csv --objective min_cost",
    "place full.csv --objective cheapest",
    "place full.csv --load-point 9x9",
    "place full.csv --load-point nine",
    "place full.csv --seed=-1",
    "place full.csv --workers 0",
    "place full.csv --time-limit=-1",
    "place full.csv --gpus L4=2",
    "place full.csv --gpus L4=2 --carry-memory-over --demand a=5",
    "place full.csv --gpus L4=2 --estimate-unmeasured --min-retention 0.9",
    "place full.csv --gpu NOPE",
    "place full.csv --price L4=1",
    "place alone.csv --gpus T4 --gpus L4 --demand a=1",
    "place no_unit.csv --gpu T4",
    "place shares.csv --gpu T4",
    "place twice.csv --gpu T4",
    "place text.csv",
    "place again.csv",
    "place missing.csv",
    "place old.json",
    "frontier models.csv --total-time-limit 2",
    "frontier full.csv --max-points 1",
    "frontier full.csv --by money",
    "frontier full.csv --by price",
    "frontier full.csv --contention predicted",
    "frontier full.csv --max-gpus 3",
    "frontier full.csv --budget 0",
    "recommend full.csv --reserve 20",
    "recommend full.csv --reserve x",
    "recommend full.csv --min-retention 0.95 --time-limit 1",
    "recommend models.csv --time-limit 1",
    "recommend full.csv --gpus L4 --estimate-unmeasured",
    "recommend full.csv --demand a=1e7 --gpus T4=1 --time-limit 1",
    "report old.json",
    "report full.csv",
    "compare old.json full.csv",
    "read no_unit.csv",
    "read text.csv",
    "calibrate full.csv --profiles full.csv",
    "verify old.json --url localhost:1",
    "init plan.txt --from full.csv",
]
_CALL = re.compile(r"\b[a-z_]\w*\(\)|\bgpupack\.\w+\(|\b[a-z]\w*=[\[{('\"]")
_ARGUMENTS = re.compile(
    r"(?<![\w.'-])("
    + "|".join(one for one in RequestArguments.__annotations__ if "_" in one)
    + r"|num_workers|max_points|total_time_limit_s)\b"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shell")
    for name, text in FILES.items():
        (path / name).write_text(text)
    return path


def output_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return all that a command prints, told as in a process of its own."""
    with pytest.raises(SystemExit) as done:
        contextvars.copy_context().run(run)
    assert done.value.code in (0, 1, 2, 3, 5), command
    printed = capsys.readouterr()
    return printed.out + printed.err


@pytest.mark.parametrize("command", COMMANDS)
def test_no_message_speaks_python(
    command: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["gpupack", *shlex.split(command)])

    text = output_of(command, capsys)

    assert text
    assert _CALL.findall(text) == []
    assert _ARGUMENTS.findall(text) == []
    assert "in Python" not in text


def test_python_is_told_arguments(folder: Path) -> None:
    with pytest.raises(gpupack.GpupackError) as told:
        gpupack.place(folder / "models.csv", "max_throughput")

    assert "headroom={'memory': 1.0, 'gpu_utilization': 1.0}" in str(told.value)
    assert "--" not in str(told.value)
