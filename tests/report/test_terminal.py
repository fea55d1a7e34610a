"""Bars in a terminal: 80 columns, plain when piped, without colour when asked."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys

import pytest
from rich.console import Console

from gpupack.placement import Placement
from gpupack.report.terminal import print_placement
from tests.report.placements import make_assignment, make_placement

PLACEMENT = make_placement(
    (
        make_assignment("half", memory_mib=500, gpu_utilization_percent=120),
        make_assignment("fifth", memory_mib=200),
    ),
    headroom=0.9,
)


def shown(**options: object) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=80, **options)  # type: ignore[arg-type]
    print_placement(PLACEMENT, console)
    return stream.getvalue()


def test_a_bar_is_as_long_as_its_share() -> None:
    text = shown(force_terminal=True, no_color=True, color_system=None)

    (memory,) = [line for line in text.splitlines() if line.startswith("  Memory ")]
    bar = memory.split()[1]
    # Server 5 %, then 50 % and 20 %, of the bar's cells; the limit is at 90 %.
    assert bar.count("▪") == pytest.approx(len(bar) * 0.05, abs=1)
    assert bar.count("█") == pytest.approx(len(bar) * 0.5, abs=1)
    assert bar.count("▓") == pytest.approx(len(bar) * 0.2, abs=1)
    assert bar.index("│") == round(len(bar) * 0.9)
    assert memory.endswith(" 750 of 1,000 MiB")


def test_more_than_all_of_the_time_is_drawn_beyond_the_mark() -> None:
    text = shown(force_terminal=True, color_system=None)

    (line,) = [one for one in text.splitlines() if "GPU utilization" in one]
    bar = line.split()[2]
    assert bar.index("│") == round(len(bar) / 1.3)
    assert "130 %" in line


def test_no_line_is_wider_than_80_columns() -> None:
    text = shown(force_terminal=True, color_system=None)

    assert max(map(len, text.splitlines())) <= 80


def test_the_traffic_of_a_replica_is_beside_its_name_and_fits() -> None:
    name = "segmentation_mri_hippocampus"
    placement = make_placement(
        (
            make_assignment(
                name, load_point="128x256", predicted_infer_per_sec=100.0,
                served_infer_per_sec=12_345.6,
            ),
            make_assignment("whole"),
        )
    )  # fmt: skip
    stream = io.StringIO()
    console = Console(file=stream, width=80, force_terminal=True, color_system=None)

    print_placement(placement, console)

    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("warning: 1 of 1 demands are not kept")
    (line,) = [one for one in lines if f"{name} (" in one]
    assert f"{name} (128x256, 12,345.6 infer/sec, keeps 1%)" in line
    assert max(map(len, lines)) <= 80
    assert any(one.endswith("whole (1x1)") for one in lines)


def test_without_a_terminal_it_is_the_plain_table() -> None:
    assert shown() == str(Placement.model_validate(PLACEMENT.model_dump())) + "\n"


def run_in_terminal(**environment: str) -> str:
    """Return what ``gpupack place medical`` writes to a pseudo-terminal."""
    ours, theirs = pty.openpty()
    names = {"PATH", "HOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH"}
    inherited = {name: value for name, value in os.environ.items() if name in names}
    process = subprocess.Popen(
        [sys.executable, "-m", "gpupack", "place", "medical"],
        stdout=theirs,
        stderr=subprocess.PIPE,
        env=inherited
        | {"TERM": "xterm-256color", "COLUMNS": "80", "LC_ALL": "C.UTF-8"}
        | environment,
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says EIO when the other side has closed
            break
        if not part:
            break
        written += part
    os.close(ours)
    assert process.wait(timeout=60) == 0
    return written.decode()


COLOR = re.compile(r"\x1b\[[0-9;]*(3[0-9]|4[0-9]|9[0-9])[;0-9]*m")


def test_the_command_draws_bars_in_a_terminal_and_honours_no_color() -> None:
    colored = run_in_terminal()
    plain = run_in_terminal(NO_COLOR="1")

    assert COLOR.search(colored)
    assert not COLOR.search(plain)
    for text in (colored, plain):
        visible = re.sub(r"\x1b\[[0-9;]*m", "", text)
        assert "█" in visible
        assert max(len(line) for line in visible.splitlines()) <= 80


def test_an_ascii_terminal_gets_ascii_bars() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    console = Console(file=stream, width=80, force_terminal=True, color_system=None)
    print_placement(PLACEMENT, console)
    stream.flush()
    text = stream.buffer.getvalue().decode("ascii")  # type: ignore[attr-defined]

    assert "####" in text


def test_gpus_that_hold_the_same_are_drawn_once() -> None:
    same = (make_assignment("a"),)
    stream = io.StringIO()
    console = Console(file=stream, width=80, force_terminal=True, color_system=None)

    print_placement(make_placement(same, same, (make_assignment("b"),), same), console)

    heads = [line for line in stream.getvalue().splitlines() if line[:5] == "GPU 0"]
    assert heads == ["GPU 0–1, 3  3 × test-gpu"]
    assert stream.getvalue().count("a (1x1)") == 1
