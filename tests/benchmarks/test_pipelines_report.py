"""The recorded pipelines, judged."""

from __future__ import annotations

import numpy as np

from benchmarks.colocation import RESULTS
from benchmarks.pipelines_report import judge_pipelines, read_pipelines


def test_the_report_has_what_is_asked_of_it() -> None:
    found = judge_pipelines(RESULTS)
    sets = [one for session in read_pipelines(RESULTS) for one in session.of("traffic")]
    assert found["num_latency_sets"] == len(sets) >= 30
    assert found["num_latencies"] == sum(len(one["models"]) for one in sets)
    # Nothing is lost where server and client keep up: counted here from the rows.
    kept = [model["open_loop"]["is_kept_up"] for one in sets for model in one["models"]]
    assert found["kept_demand_share"] == round(float(np.mean(kept)), 3)
    for name in (
        "p99_within_20_percent_share",
        "kept_p99_share",
        "kept_share_on_shared_gpus",
    ):
        share = found[name]
        assert isinstance(share, float)
        assert 0 < share <= 1
