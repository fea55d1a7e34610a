"""``gpupack place`` and ``gpupack demo`` as a person at a terminal meets them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import gpupack


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gpupack", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
    )


def test_a_proved_placement_exits_with_0_and_prints_every_model() -> None:
    done = run("place", "medical")

    assert done.returncode == 0
    assert "4 GPUs (OPTIMAL" in done.stdout
    # Four GPUs by memory: what they cannot do is said first, and on standard error.
    first = done.stdout.splitlines()[0]
    assert first.startswith("warning: the models on 4 of 4 GPUs cannot all run at the")
    assert done.stderr == f"{first}\n"
    for name in gpupack.load_example("medical").model_names:
        assert name in done.stdout


def test_json_and_markdown_are_written(tmp_path: Path) -> None:
    json_path, markdown_path = tmp_path / "out.json", tmp_path / "out.md"

    done = run(
        "place", "medical", "--objective", "max_throughput", "--headroom", "0.8",
        "--json", str(json_path), "--markdown", str(markdown_path), "--quiet",
    )  # fmt: skip

    assert (done.returncode, done.stdout) == (0, "")
    placement = gpupack.read_placement(json_path)
    assert placement.num_gpus == 8
    assert json.loads(json_path.read_text())["num_gpus"] == 8
    assert (
        markdown_path.read_text().count("\n| ")
        + markdown_path.read_text().count("\n|  ")
        >= 8
    )


def test_a_named_headroom_overrides_the_overall_one() -> None:
    # 80 % of everything is 8 GPUs; memory is not what binds there.
    done = run(
        "place", "medical", "--objective", "max_throughput",
        "--headroom", "0.8", "--headroom", "memory=0.9",
    )  # fmt: skip

    assert "8 GPUs" in done.stdout
    assert "memory 90 %, gpu_utilization 80 %" in done.stdout


def test_headroom_by_name_alone_says_exactly_what_binds() -> None:
    done = run("place", "medical", "--headroom", "memory=0.8")

    assert "6 GPUs" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("medical", "--gpus", "3"), 3, "4 16GB GPUs would do"),
        (("medical", "--gpu", "small:9000"), 2, "no model was profiled on small"),
        (
            ("medical", "--gpu", "small:9000", "--carry-memory-over"),
            3,
            "segmentation_liver",
        ),
        (("medical", "--gpu", "Z80"), 2, "unknown GPU 'Z80'"),
        (("medical", "--headroom", "much"), 2, "number"),
        (("medical", "--headroom", "0.8", "--headroom", "0.9"), 2, "given twice"),
        (("medical", "--headroom", "memory=2"), 2, "memory is 2"),
        (("medical", "--objective", "speed"), 2, "unknown objective"),
        (("medical", "--load-point", "2by4"), 2, "BATCHxCONCURRENCY"),
        (("nothing.csv",), 2, "neither a file nor a built-in example"),
        (("medical", "--json", "/nonexistent/folder/x.json"), 2, "cannot write"),
        (("medical", "--gpus", "many"), 2, "unknown GPU 'many'"),
        (("medical", "--gpus", "T4=many"), 2, "--gpus 'T4=many'"),
        (("medical", "--gpus", "1.5"), 2, "give a number"),
        (("medical", "--demand", "900"), 2, "--demand 900 names no model"),
    ],
)
def test_a_fault_is_one_message_and_its_exit_code(
    arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = run("place", *arguments)

    assert done.returncode == code
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_placement_that_is_not_proved_exits_with_0_and_a_warning(
    tmp_path: Path,
) -> None:
    import random

    rng = random.Random(5)
    rows = [
        f"m{i:03},1,1,10,{rng.randint(30, 780) / 10},{rng.randint(30, 700) / 10},"
        f"{rng.randint(300, 7000)}"
        for i in range(150)
    ]
    path = tmp_path / "many.csv"
    path.write_text(
        "model_name,batch_size,concurrency,throughput_infer_per_sec,"
        "gpu_utilization_percent,memory_utilization_percent,gpu_memory_used_mib\n"
        + ",,,,0,0,300\n"
        + "\n".join(rows)
        + "\n"
    )

    done = run(
        "place", str(path), "--gpu", "T4", "--objective", "max_throughput",
        "--time-limit", "0", "--quiet",
    )  # fmt: skip

    assert done.returncode == 0
    assert "not proved within 0 s" in " ".join(done.stderr.split())


def test_the_demo_prints_both_cases_and_writes_them(tmp_path: Path) -> None:
    done = run("demo", "--no-live", "--output", "out", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "4 GPUs (OPTIMAL" in done.stdout
    assert "6 GPUs (OPTIMAL" in done.stdout
    assert gpupack.read_placement(tmp_path / "out" / "four_gpus.json").num_gpus == 4
    assert gpupack.read_placement(tmp_path / "out" / "six_gpus.json").num_gpus == 6


def test_the_version_is_printed() -> None:
    assert run("--version").stdout.strip() == f"gpupack {gpupack.__version__}"


def test_a_request_from_a_file_is_what_is_placed(tmp_path: Path) -> None:
    request, written = tmp_path / "plan.yaml", tmp_path / "placement.json"
    request.write_text("objective: max_throughput\nheadroom: 80%\nworkers: 1\n")

    done = run("place", "medical", "--request", str(request), "--json", str(written))

    # Published: all three at 80 % take 8 GPUs, on one of which two share it.
    assert done.returncode == 0
    assert done.stderr.startswith("warning: no utilizations sum to more than 100 %")
    assert done.stderr.count("warning") == 1
    assert "8 GPUs (OPTIMAL" in done.stdout
    kept = json.loads(written.read_text())["request"]
    assert (kept["objective"], kept["headroom"]) == ("max_throughput", 0.8)
    again = run("place", "medical", "--request", str(written))
    assert "8 GPUs (OPTIMAL" in again.stdout


def test_an_option_beside_a_request_wins_and_says_so(tmp_path: Path) -> None:
    request = tmp_path / "plan.toml"
    request.write_text('objective = "max_throughput"\nheadroom = "80%"\n')

    done = run("place", "medical", "--request", str(request), "--headroom", "100%")

    assert "6 GPUs (OPTIMAL" in done.stdout
    assert "headroom of the request, 0.8, gives way to" in " ".join(done.stdout.split())


def test_a_request_that_cannot_be_used_is_one_message_with_its_path(
    tmp_path: Path,
) -> None:
    request = tmp_path / "plan.yaml"
    request.write_text("models: {segmentation_liver: {demand: -1}}\n")

    done = run("place", "medical", "--request", str(request))

    assert done.returncode == 2
    told = " ".join(done.stderr.split())
    assert "models.segmentation_liver.demand is -1; it must be finite" in told
    assert done.stdout == ""


HOST_TABLE = (
    "model,batch_size,concurrency,throughput_infer_per_sec,gpu_utilization_percent,"
    "memory_utilization_percent,gpu_memory_used_mib,host_cpu_cores,host_memory_mib\n"
    ",,,,,,100,,900\n"
    "a,1,1,100,20,5,500,1.5,2000\n"
    "b,1,1,50,30,5,700,0.5,1500\n"
)


def test_the_hosts_cores_and_memory_bind_by_flags(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HOST_TABLE)
    place = ("place", "t.csv", "--gpu", "T4", "--json", "-")

    def gpus(*flags: str) -> tuple[int, dict[str, float]]:
        done = run(*place, *flags, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        return found["num_gpus"], found["headroom"]

    assert gpus()[0] == 1
    assert gpus("--host-cpus-per-gpu", "2")[0] == 1
    # A plain share holds for the host, too, beside one for memory.
    number, headroom = gpus(
        "--host-cpus-per-gpu", "T4=2", "--headroom", "0.8", "--headroom", "memory=0.9"
    )
    assert number == 2
    assert (headroom["host_cpu"], headroom["memory"]) == (0.8, 0.9)
    # 900 of the server, 1,100 and 600 MiB.
    assert gpus("--host-memory-per-gpu", "2600MiB")[0] == 1
    assert gpus("--host-memory-per-gpu", "2500MiB")[0] == 2


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--host-cpus-per-gpu", "0"), "--host-cpus-per-gpu of T4 is '0'"),
        (("--host-cpus-per-gpu", "L4=8"), "not among the GPUs: T4"),
        (("--host-memory-per-gpu", "64"), "give the unit, such as 64GB"),
        (("--headroom", "host_cpu=0.8"), "give --host-cpus-per-gpu"),
        (
            ("--host-cpus-per-gpu", "8", "--host-cpus-per-gpu", "T4=8"),
            "--host-cpus-per-gpu 'T4=8': given twice",
        ),
    ],
)
def test_a_share_of_the_host_that_cannot_be_ends_with_2(
    flags: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text(HOST_TABLE)

    done = run("place", "t.csv", "--gpu", "T4", *flags, cwd=tmp_path)

    assert done.returncode == 2
    assert told in done.stderr


def test_a_price_of_a_type_that_the_table_does_not_name_asks_for_the_type(
    tmp_path: Path,
) -> None:
    (tmp_path / "t.csv").write_text(HOST_TABLE)
    asked = ("place", "t.csv", "--price", "T4=0.35", "--objective", "min_cost")

    done = run(*asked, cwd=tmp_path)

    assert done.returncode == 2
    assert "say which to plan for, as --gpus T4" in done.stderr
    assert run(*asked, "--gpus", "T4", cwd=tmp_path).returncode == 0
