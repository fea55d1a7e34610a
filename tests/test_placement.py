"""What a placement shows of itself; model names are untrusted."""

import re

import pandas as pd

import gpupack
from tests.factories import make_profiles, make_record

PLACEMENT = gpupack.place(gpupack.load_example("medical"), "max_throughput")


def test_printing_names_every_model_and_total() -> None:
    text = str(PLACEMENT)

    for gpu in PLACEMENT.gpus:
        for name in gpu.models:
            assert name in text
    assert "6,187 (10,197)" in text  # chest and breast: 5035 + 1461 - 309 of 16384


def test_the_frame_has_one_row_per_model_instance() -> None:
    frame = PLACEMENT.to_frame()

    assert isinstance(frame, pd.DataFrame)
    assert len(frame) == 9
    assert frame["gpu_index"].nunique() == 6
    assert frame["throughput_infer_per_sec"].sum() == PLACEMENT.throughput_infer_per_sec


def test_the_frame_has_a_row_for_each_of_equal_gpus_too() -> None:
    placement = gpupack.place(gpupack.load_example("medical"), "min_gpus", replicas=40)
    assert len(placement.gpus.runs) < placement.num_gpus

    frame = placement.to_frame()

    assert list(zip(frame["gpu_index"], frame["model_name"], strict=True)) == [
        (gpu.gpu_index, name) for gpu in placement.gpus for name in gpu.models
    ]


def test_hostile_names_are_text_everywhere() -> None:
    names = ["<script>alert(1)</script>", "a|b", "a\nb", "\x1b[2Jgone", "*bold*"]
    placement = gpupack.place(make_profiles(*(make_record(name) for name in names)))

    html = placement._repr_html_()
    markdown = placement.to_markdown()
    text = str(placement)

    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "\x1b" not in text + markdown + html
    assert "a\\nb" in text
    table = [line for line in markdown.splitlines() if line.startswith("|")]
    columns = {len(re.findall(r"(?<!\\)\|", line)) for line in table}
    assert len(columns) == 1, "an unescaped pipe or newline broke the table"


def test_markdown_has_one_row_per_gpu() -> None:
    rows = [line for line in PLACEMENT.to_markdown().splitlines() if line[:1] == "|"]

    assert len(rows) == 2 + 6
