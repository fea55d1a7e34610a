"""What is not known of what runs, with the commands that find it out."""

from __future__ import annotations

import math
import shlex
from typing import TYPE_CHECKING

from gpupack.quoting import listed
from gpupack.records.running.rightsizing import OpenQuestion

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpupack.observed_cluster import ObservedCluster
    from gpupack.planning.rightsizing.movable import Movable

_STORE = "profiles.jsonl"


def open_questions(
    cluster: ObservedCluster, movable: Movable
) -> tuple[OpenQuestion, ...]:
    """Return what would make the plan better, the most useful first."""
    found = []
    apart = sorted(movable.not_told_apart)
    if apart:
        found.append(
            OpenQuestion(
                question=(
                    f"how much of a GPU each of {listed(apart)} takes: they share "
                    "GPUs, and stay together until they are measured alone"
                ),
                commands=_commands(cluster, apart),
            )
        )
    estimated = sorted(movable.estimated)
    if estimated:
        found.append(
            OpenQuestion(
                question=(
                    f"what one GPU can serve at most of {listed(estimated)}: as many "
                    "copies are planned as at the most that one was seen to serve; "
                    "fewer may do"
                ),
                commands=_commands(cluster, estimated),
            )
        )
    found += [OpenQuestion(question=text) for text in cluster.unknown]
    return tuple(found)


def _commands(cluster: ObservedCluster, names: Sequence[str]) -> tuple[str, ...]:
    """Return what to paste: the measurement, around the batches that clients send."""
    plain = [name.rpartition("/")[2] for name in names]
    batches = {1, 2, 4} | {
        max(1, round(one.mean_request_batch_size))
        for one in cluster.demands
        if one.model_name in names and one.mean_request_batch_size
    }
    in_flight = {1, 2, 4} | set(_in_flight(cluster, names))
    return (
        shlex.join(
            [
                *("gpupack", "profile", "--model-repository", "models/"),
                *("--models", ",".join(dict.fromkeys(plain))),
                *("--batch", ",".join(map(str, sorted(batches)))),
                *("--concurrency", ",".join(map(str, sorted(in_flight)))),
                *("--store", _STORE),
            ]
        ),
        f"gpupack rightsize cluster.json --profiles {_STORE}",
    )


def _in_flight(cluster: ObservedCluster, names: Sequence[str]) -> Iterable[int]:
    """Return, by Little's law, how many requests are in a model's servers at the peak.

    Of one server where all have as much to do, and at most 64.
    """
    for one in cluster.demands:
        if one.model_name not in names or not one.latency_mean_us:
            continue
        batch = one.mean_request_batch_size or 1.0
        requests = (one.peak_infer_per_sec or 0.0) / batch * one.latency_mean_us / 1e6
        servers = sum(one.model_name in gpu.models for gpu in cluster.gpus) or 1
        yield min(64, max(1, math.ceil(requests / servers)))
