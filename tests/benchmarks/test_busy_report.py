"""The recorded networks that keep the GPU busy, judged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.busy_report import (
    busy_errors,
    has_host_work,
    judge_busy,
    judging_half,
    read_busy,
)
from benchmarks.colocation import RESULTS
from benchmarks.h200.busy import FITTING, FRESH, JUDGING, NEW
from benchmarks.quick_calibration_report import judge_quick_calibration
from gpupack.records.environment import SharingMode


def test_the_halves_share_no_network_and_every_way_has_enough_sets() -> None:
    sessions = read_busy(RESULTS)
    names = {
        half: {
            record.model_name
            for one in sessions
            if one.half == half
            for record in one.records
        }
        for half in ("fit", "judge")
    }
    assert not names["fit"] & names["judge"]
    for mode in (SharingMode.TIME_SLICING, SharingMode.MPS):
        closed = [
            row
            for one in sessions
            if one.half == "judge" and one.sharing is mode
            for row in one.of("closed")
        ]
        assert len(closed) >= 40
        assert len({tuple(row["models"]) for row in closed}) == len(closed)


def test_retention_and_its_noise_are_those_of_the_rounds() -> None:
    errors, noise = busy_errors(RESULTS)
    found = judge_busy(RESULTS)
    assert found["retention_mae_points"] == pytest.approx(
        np.abs(errors).mean(), abs=1e-3
    )
    rows = [
        row
        for one in read_busy(RESULTS)
        if one.half == "judge"
        for row in one.of("closed")
    ]
    apart = [
        abs(
            first["together"][index] / first["alone"][index]
            - second["together"][index] / second["alone"][index]
        )
        for row in rows
        for first, second in [row["rounds"]]
        for index in range(len(row["models"]))
    ]
    assert noise == pytest.approx(50 * np.array(apart))


def test_plans_are_judged_by_the_limits_they_were_made_for() -> None:
    sessions = [one for one in read_busy(RESULTS) if one.half == "judge"]
    kept: dict[str, list[bool]] = {"predicted": [], "alone": []}
    for row in (row for one in sessions for row in one.of("traffic")):
        for model, limit_s in zip(
            row["models"], row.get("limits_s", [0.0] * 99), strict=False
        ):
            if "plan" in row:
                p99_us = np.percentile(model["latencies_us"], 99)
                kept[row["plan"]].append(bool(p99_us <= 1e6 * limit_s))
    found = judge_busy(RESULTS)
    assert found["num_latency_sets"] >= 30
    assert found["num_p99_promises"] == len(kept["predicted"])
    share = float(np.mean(kept["predicted"]))
    assert found["kept_p99_share"] == pytest.approx(share, abs=1e-3)
    by_alone = float(np.mean(kept["alone"]))
    assert found["kept_p99_share_planned_alone"] == pytest.approx(by_alone, abs=1e-3)
    assert share > by_alone


def test_a_model_s_last_record_counts_and_visits_to_a_set_are_one(
    tmp_path: Path,
) -> None:
    (source,) = RESULTS.glob("busy_judge_mps.jsonl")
    lines = source.read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    first = next(row for row in rows if row["kind"] == "profile_record")
    closed = [row for row in rows if row.get("label") == "closed"]
    better = first | {"throughput_infer_per_sec": 1.0}
    more = closed[0] | {"rounds": closed[0]["rounds"][:1]}
    cut_off = {**closed[0], "models": closed[0]["models"][::-1]}
    cut_off["rounds"] = cut_off["rounds"][:1]
    added = [better, more, cut_off]
    path = tmp_path / "busy_fresh_mps_more.jsonl"
    path.write_text("\n".join([*lines, *map(json.dumps, added)]), encoding="utf-8")

    (session,) = read_busy(tmp_path)

    assert judging_half(tmp_path) == "fresh"
    assert session.sharing is SharingMode.MPS
    by_name = {one.model_name: one for one in session.records}
    assert len(by_name) == len(session.records) == 12
    assert by_name[first["model_name"]].throughput_infer_per_sec == 1.0
    sets = session.of("closed")
    assert len(sets) == len(closed) + 1
    assert len(sets[0]["rounds"]) == 3
    # What one round tells of is not judged.
    errors, _ = busy_errors(tmp_path, half="fresh")
    assert len(errors) == sum(len(row["models"]) for row in closed)


def test_networks_that_judge_anew_are_others_in_other_kinds() -> None:
    known = {one.architecture for one in (*FITTING, *JUDGING)}
    assert not known & {one.architecture for one in FRESH}
    assert len({one.name for one in FRESH}) == len(FRESH) == 14
    assert {has_host_work(one.name) for one in FRESH} == {True, False}
    assert has_host_work("fresh_poolformer")
    assert not has_host_work("fresh_mobilevit")
    assert not {one.architecture for one in NEW} & {
        *known,
        *(one.architecture for one in FRESH),
    }
    assert len({one.name for one in NEW}) == len(NEW) == 15
    assert {one.name for one in NEW if has_host_work(one.name)} == {
        "new_albert",
        "new_edgenext",
        "new_cspdarknet",
        "new_fbnet",
        "new_levit",
        "new_electra",
        "new_gpt_neox",
    }


def test_networks_that_nobody_had_seen_judge() -> None:
    assert judging_half(RESULTS) in ("new", "fresh")
    sessions = [one for one in read_busy(RESULTS) if one.half == "fresh"]
    for mode in (SharingMode.TIME_SLICING, SharingMode.MPS):
        closed = {
            tuple(row["models"])
            for one in sessions
            if one.sharing is mode
            for row in one.of("closed")
        }
        assert len(closed) >= 40
    assert sum(len(one.of("traffic")) for one in sessions) >= 30
    errors, noise = busy_errors(RESULTS, half="fresh")
    assert len(errors) == 410
    # As docs/explanation/colocation.md tells them, the part beyond the noise as asked.
    assert np.abs(errors).mean() == pytest.approx(6.5, abs=0.05)
    assert np.abs(errors).mean() - noise.mean() <= 3


def test_a_quick_calibration_is_judged_beside_the_defaults() -> None:
    found = judge_quick_calibration(RESULTS)
    assert set(found) == {"mps", "time_slicing"}
    for one in found.values():
        # No worse than the defaults beyond the noise of what they are judged by.
        assert one["mae_points"] <= one["default_mae_points"] + 1.0
