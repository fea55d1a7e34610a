"""``gpupack read-prometheus`` and ``gpupack rightsize`` at a terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import gpupack
from tests.importers.prometheus.metrics_texts import gpu_text, triton_text


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gpupack", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two GPUs of 10,000 MiB, each with one model at 10 infer/sec."""
    for number, name in enumerate(("a", "b")):
        for at_ms, count in ((1_700_000_000_000, 0), (1_700_000_100_000, 1000)):
            text = triton_text({name: (count, count, count, 0, 0)}, uuid=f"G-{number}")
            stamped = "".join(
                line if line.startswith("#") else f"{line.rstrip()} {at_ms}\n"
                for line in text.splitlines(keepends=True)
            )
            (tmp_path / f"{name}{count}.prom").write_text(stamped)
    (tmp_path / "gpus.prom").write_text(
        gpu_text("G-0", used_mib=3000, free_mib=7000, busy_percent=20)
        + gpu_text("G-1", number=1, used_mib=4000, free_mib=6000, busy_percent=30)
    )
    return tmp_path


TEXTS = (
    *("--metrics", "pod-a=a0.prom", "--metrics", "pod-a=a1000.prom"),
    *("--metrics", "pod-b=b0.prom", "--metrics", "pod-b=b1000.prom"),
    *("--metrics", "gpus.prom"),
)


def test_what_was_read_is_kept_and_planned_with(folder: Path) -> None:
    read = run(
        "read", "prometheus", *TEXTS, "--json", "cluster.json", "--profiles", "e.jsonl",
        cwd=folder,
    )  # fmt: skip
    planned = run(
        "rightsize", "cluster.json", "--price", "Card 10=2", "--json", "out.json",
        "--markdown", "page.md", cwd=folder,
    )  # fmt: skip

    assert (read.returncode, read.stderr) == (0, "")
    seen = gpupack.read_observed_cluster(folder / "cluster.json")
    assert seen.peak_demand == {"a": 10.0, "b": 10.0}
    assert [
        one.origin for one in gpupack.read_profiles(folder / "e.jsonl").records
    ] == [
        "estimated",
        "estimated",
    ]
    # 3,000 + 4,000 of 8,000 MiB, 20 + 30 of 80 %: one GPU.
    assert (planned.returncode, planned.stderr) == (0, "")
    assert planned.stdout.startswith("1 of 2 GPUs would do")
    assert "2 of 4 per hour" in planned.stdout
    assert json.loads((folder / "out.json").read_text())["kind"] == "rightsizing"
    assert (folder / "page.md").read_text().startswith("# How many GPUs would do")


def test_the_page_is_written_at_once_or_later_by_report(folder: Path) -> None:
    told = run(
        "rightsize", *TEXTS, "--json", "out.json", "--html", "page.html", "--quiet",
        cwd=folder,
    )  # fmt: skip
    later = run("report", "out.json", "-o", "later.html", cwd=folder)
    both = run("report", "out.json", "out.json", cwd=folder)

    assert (told.returncode, later.returncode) == (0, 0)
    page = (folder / "page.html").read_text()
    assert page == (folder / "later.html").read_text()
    assert "GPUs would do</h1>" in page
    assert both.returncode == 2
    assert "a page of its own" in both.stderr


def test_estimates_can_be_placed_like_any_profiles(folder: Path) -> None:
    run("read-prometheus", *TEXTS, "--profiles", "e.jsonl", "--quiet", cwd=folder)

    placed = run("place", "e.jsonl", "--demand", "a=10", "--demand", "b=10",
                 "--headroom", "memory=0.8", "--headroom", "gpu_utilization=0.8",
                 cwd=folder)  # fmt: skip

    assert placed.returncode == 0
    assert "1 GPU (OPTIMAL" in placed.stdout
    assert "estimated from what ran, not measured: 'a', 'b'" in placed.stdout


def test_texts_can_be_planned_with_at_once(folder: Path) -> None:
    done = run("rightsize", *TEXTS, "--headroom", "65%", cwd=folder)

    # 7,000 MiB exceed 65 % of 10,000.
    assert done.stdout.startswith("2 of 2 GPUs would do")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("read-prometheus",), "--url"),
        (("read-prometheus", "--url", "http://127.0.0.1:9"), "cannot reach"),
        (("read-prometheus", "--url", "http://h", "--metrics", "a0.prom"), "one of"),
        (("read-prometheus", "--metrics", "nowhere.prom"), "nowhere.prom"),
        (("read-prometheus", "--metrics", "a0.prom", "--window", "7d"), "read whole"),
        (("rightsize",), "--url"),
        (("rightsize", "a0.prom"), "not a gpupack observed_cluster"),
        (("rightsize", "a0.prom", "--window", "1d"), "leave out"),
    ],
)
def test_what_cannot_be_read_exits_with_2(
    folder: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = run(*arguments, cwd=folder)

    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
