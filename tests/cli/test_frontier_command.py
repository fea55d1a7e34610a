"""``gpupack frontier`` and the options of a capacity plan."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import gpupack
from gpupack.cli.app import app
from gpupack.cli.commands.frontier import _limit_that_bound
from gpupack.errors import StoreError
from gpupack.records.placement import Objective
from gpupack.store import read_placement


def test_the_frontier_is_printed_drawn_and_written(tmp_path: Path) -> None:
    figure, table = tmp_path / "frontier.svg", tmp_path / "frontier.json"

    done = CliRunner().invoke(
        app,
        ["frontier", "medical", "--plot", str(figure), "--json", str(table)],
        catch_exceptions=False,
    )

    # Case study 1 holds the models on 4 GPUs, case study 2 needs 6 to lose nothing.
    assert done.exit_code == 0
    table_lines = done.stdout.partition("\n\n")[0].splitlines()
    rows = table_lines[2:]
    assert [row.split()[0] for row in rows] == ["4", "5", "6"]
    assert figure.read_text(encoding="utf-8").startswith("<?xml")
    points = json.loads(table.read_text(encoding="utf-8"))["steps"]
    assert [point["num_gpus"] for point in points] == [4, 5, 6]


@pytest.mark.parametrize("name", ["figure", "figure.xyz", ".png"])
def test_a_figure_of_no_known_format_is_not_drawn(tmp_path: Path, name: str) -> None:
    command = ["frontier", "medical", "--budget", "6", "--plot", str(tmp_path / name)]

    done = CliRunner().invoke(app, command)

    assert isinstance(done.exception, StoreError)
    assert "ends in .png, .svg or .pdf" in str(done.exception)
    assert list(tmp_path.iterdir()) == []  # not even figure.png


def test_warnings_of_the_placements_are_printed_once_each(tmp_path: Path) -> None:
    table = tmp_path / "models.csv"
    # The server alone takes 500 MiB; two GPUs of 1,000 MiB are to hold b and c.
    table.write_text(
        "model_name,batch_size,concurrency,throughput_infer_per_sec,"
        "gpu_utilization_percent,memory_utilization_percent,gpu_memory_used_mib\n"
        ",,,,0,0,500\na,1,1,10,10,1,400\nb,1,1,10,90,1,900\nc,1,1,10,90,1,900\n"
    )

    done = CliRunner().invoke(
        app,
        [
            *("frontier", str(table), "--gpu", "small:1000"),
            *("--budget", "1", "--budget", "2", "--optional", "c"),
        ],
        catch_exceptions=False,
    )

    assert done.exit_code == 0
    assert done.stderr.count("'a' used less memory than the server alone") == 1
    assert "warning: 1 of 2 steps: optional models left out: c" in done.stderr


def test_a_quiet_frontier_writes_its_file_and_only_warns(tmp_path: Path) -> None:
    table = tmp_path / "frontier.json"

    done = CliRunner().invoke(
        app,
        ["frontier", "medical", "-q", "--allow-unstable", "--json", str(table)],
        catch_exceptions=False,
    )

    assert (done.exit_code, done.stdout) == (0, "")
    assert all(line.startswith("warning: ") for line in done.stderr.splitlines())
    assert table.stat().st_size > 0


def test_every_option_of_a_capacity_plan_is_understood(tmp_path: Path) -> None:
    written = tmp_path / "placement.json"

    done = CliRunner().invoke(
        app,
        [
            *("place", "medical", "--objective", "min_cost", "--json", str(written)),
            *("--gpus", "16GB=9", "--price", "16GB=0.5"),
            *("--demand", "classification_breast=2000"),
            *("--demand", "classification_malaria=0"),
            *("--replicas", "segmentation_liver=2", "--load-point", "2x4"),
            *("--optional", "segmentation_mri_brain_tumor"),
        ],
        catch_exceptions=False,
    )

    assert done.exit_code == 0
    placement = read_placement(written)
    assert placement.objective is Objective.MIN_COST
    assert placement.objective_value == placement.num_gpus * 0.5
    models = [name for gpu in placement.gpus for name in gpu.models]
    assert models.count("segmentation_liver") == 2
    assert round(sum(placement.served_infer_per_sec.values())) == 2000


def test_a_frontier_takes_what_place_takes(tmp_path: Path) -> None:
    request = tmp_path / "plan.yaml"
    request.write_text("gpus: 16GB\nmodels: {segmentation_liver: {optional: true}}\n")

    done = CliRunner().invoke(
        app,
        [
            *("frontier", "medical", "--request", str(request), "--budget", "4"),
            *("--min-retention", "0.5", "--workers", "1", "--sharing", "mps"),
            *("--json", str(tmp_path / "frontier.json")),
        ],
        catch_exceptions=False,
    )

    assert done.exit_code == 0
    (step,) = json.loads((tmp_path / "frontier.json").read_text())["placements"]
    assert step["request"]["max_gpus"] == 4
    assert step["request"]["defaults"]["min_retention"] == 0.5
    assert step["request"]["models"]["segmentation_liver"]["optional"]


def test_what_several_steps_warn_of_is_told_once(tmp_path: Path) -> None:
    table = tmp_path / "busy.csv"
    rows = [f"m{one},1,1,100,60,10,1000,T4,150" for one in range(3)]
    titles = "model,batch_size,concurrency,throughput,gpu_util,mem_util,memory_mib"
    titles += ",gpu,demand"
    table.write_text("\n".join([titles, ",,,,0,0,400,T4,", *rows]) + "\n")

    done = CliRunner().invoke(
        app,
        [
            *("frontier", str(table), "--workers", "1"),
            *("--json", str(tmp_path / "f.json")),
        ],
        catch_exceptions=False,
    )

    told = [
        line for line in done.stderr.splitlines() if "not kept as predicted" in line
    ]
    assert len(told) == 1, done.stderr
    assert "steps, the last of them: " in told[0]
    found = json.loads((tmp_path / "f.json").read_text())
    assert found["schema_version"] == 2
    assert all(set(one["served_share"]) == {"m0", "m1", "m2"} for one in found["steps"])
    assert [one["worst_served_share"] for one in found["steps"]] == [
        min(one["served_share"].values()) for one in found["steps"]
    ]


@pytest.mark.parametrize(
    ("step_s", "total_s", "longest_s", "told"),
    [
        (10.0, 6.0, 1.5, "6 s in all; raise --total-time-limit"),
        (10.0, 60.0, 4.0, "60 s in all; raise --total-time-limit"),
        (2.0, 60.0, 2.1, "2 s each; raise --time-limit and --total-time-limit"),
    ],
)
def test_the_limit_that_the_steps_had_is_told(
    step_s: float, total_s: float, longest_s: float, told: str
) -> None:
    placed = gpupack.place("medical", time_limit_s=step_s)
    unproved = [
        placed.model_copy(update={"seconds": seconds}) for seconds in (0.1, longest_s)
    ]

    assert _limit_that_bound(unproved, total_s) == told
