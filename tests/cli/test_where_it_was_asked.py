"""What does not fit is named as it was written: as a flag, a column, or in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_place_command import run

TABLE = """\
model,throughput,gpu_util,mem_util,memory_mib,p99_ms,gpu{title}
,,0,0,400,,T4{none}
a,100,40,10,1000,9,T4,{cell}
b,100,40,10,1000,9,T4{none}
"""


def write(folder: Path, title: str = "team", cell: str = "x") -> None:
    commas = "," * (1 + title.count(","))
    text = TABLE.format(title=f",{title}", none=commas, cell=cell)
    (folder / "models.csv").write_text(text)


@pytest.mark.parametrize(
    ("title", "cell", "flags", "told"),
    [
        ("weight", "2", [], "column 'weight' decides between models"),
        ("Max replicas,replicas", "2,3", ["--demand", "a=9"],
         "column 'Max replicas' is 2, but 3 replicas are asked for at least ("
         "'models.csv', column 'replicas')"),
        ("min_traffic", "5", [], "column 'min_traffic' is 5 infer/sec of a replica"),
        ("latency limit (ms)", "5", [],
         "raise the limit of 'a' ('models.csv', column 'latency limit (ms)')"),
        ("latency_limit_ms", "50", ["--latency", "predicted"],
         "--latency predicted is about requests that arrive"),
        ("demand", "-1", [], "row 3, demand: models.a.demand is -1"),
        ("replicas", "1.5", [], "row 3, replicas: models.a.replicas is 1.5"),
        ("optional", "maybe", [], "row 3, optional is 'maybe'; it must be yes or no"),
    ],
)  # fmt: skip
def test_what_a_column_asks_is_told_as_the_column(
    title: str, cell: str, flags: list[str], told: str, tmp_path: Path
) -> None:
    write(tmp_path, title, cell + "," * (title.count(",") - cell.count(",")))

    done = run("place", "models.csv", *flags, cwd=tmp_path)

    assert (done.returncode, done.stdout) in {(2, ""), (3, "")}
    assert told in done.stderr
    for wish in ("weight", "max-replicas", "min-traffic", "latency-limit"):
        assert f"--{wish} " not in done.stderr


@pytest.mark.parametrize(
    ("content", "flags", "told"),
    [
        ("models: {a: {weight: 2}}\n", [], "'plan.yaml', models.a.weight decides"),
        ("defaults: {weight: 2}\n", [], "'plan.yaml', defaults.weight decides"),
        ("fairness: max_min\n", [], "'plan.yaml', fairness decides between"),
        ("contention: predicted\n", [], "'plan.yaml', contention (predicted) is for"),
        ("max_gpus: 3\n", [], "'plan.yaml', max_gpus is what max_throughput may"),
        ("models: {a: {min_traffic: 5}}\n", [], "'plan.yaml', models.a.min_traffic is"),
        ("latency: predicted\ndefaults: {latency_limit_ms: 50}\n", [],
         "'plan.yaml', latency (predicted) is about requests"),
        # What a flag says in place of the file is the flag's.
        ("models: {a: {weight: 2}}\n", ["--weight", "a=3"], "--weight decides between"),
        ("max_gpus: 3\n", ["--max-gpus", "2"], "--max-gpus is what max_throughput"),
    ],
)  # fmt: skip
def test_what_a_file_asks_is_told_by_its_path(
    content: str, flags: list[str], told: str, tmp_path: Path
) -> None:
    write(tmp_path)
    (tmp_path / "plan.yaml").write_text(content)

    done = run("place", "models.csv", "--request", "plan.yaml", *flags, cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {told}")


def test_a_frontier_names_what_its_steps_differ_in(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "plan.yaml").write_text("max_gpus: 3\n")

    done = run("frontier", "models.csv", "--request", "plan.yaml", cwd=tmp_path)

    assert done.returncode == 2
    assert "'plan.yaml', max_gpus is what the steps of a frontier" in done.stderr


def test_what_says_who_gets_less_does_not_count_for_what_is_to_be_bought(
    tmp_path: Path,
) -> None:
    write(tmp_path, "weight", "2")
    (tmp_path / "plan.yaml").write_text(
        "objective: max_throughput\nmax_gpus: 3\ntime_limit_s: 1\n"
    )

    done = run("recommend", "models.csv", "--request", "plan.yaml", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "'models.csv', column 'weight' does not count here" in done.stdout
    assert "'plan.yaml', max_gpus does not count here" in done.stdout
