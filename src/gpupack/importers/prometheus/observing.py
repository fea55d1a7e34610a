"""``read_prometheus()``: from a server or saved texts to an ``ObservedCluster``."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from gpupack.arguments import require_kind
from gpupack.errors import InvalidInputError, MissingReadingError, ProfileDataError
from gpupack.files import AnyPath, as_path
from gpupack.importers.prometheus.demand import observe_demands
from gpupack.importers.prometheus.estimates import (
    alone,
    estimate_profiles,
    estimated_baselines,
)
from gpupack.importers.prometheus.exposition import MetricsText, read_texts
from gpupack.importers.prometheus.gpus import observe_gpus
from gpupack.importers.prometheus.join import join
from gpupack.importers.prometheus.quantities import Quantity
from gpupack.importers.prometheus.readings import Readings, Steps
from gpupack.importers.prometheus.window import (
    check_step_s,
    choose_step_s,
    find_window,
    moment,
    parse_duration,
    told,
)
from gpupack.importers.source_text import read_source_text
from gpupack.observed_cluster import ObservedCluster
from gpupack.quoting import listed, quoted
from gpupack.records.running.observed_cluster import ObservationWindow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from gpupack.importers.prometheus.client import PrometheusClient
    from gpupack.importers.prometheus.join import Joined
    from gpupack.records.running.observed_cluster import ObservedDemand

_SCRAPE_LOOK_S = (600, 6 * 3600, 7 * 86400)
"""How far back samples are counted, to find how far apart they are."""

_MOST_COARSE_STEPS = 28
"""Not one: Prometheus would have to hold all samples of a week at the same time."""


def read_prometheus(
    url: str | None = None,
    *,
    texts: Sequence[AnyPath] | Mapping[str, AnyPath | Sequence[AnyPath]] | None = None,
    window: str | float | None = None,
    start: datetime | str | None = None,
    end: datetime | str | None = None,
    step: str | float | None = None,
    token_file: AnyPath | None = None,
    ca_path: AnyPath | None = None,
    timeout_s: float = 60.0,
    now_s: Callable[[], float] = time.time,
) -> ObservedCluster:
    """Return what a cluster did: demand over time, today's placement, estimates.

    Args:
        url: Of a Prometheus (or Thanos, Mimir) that scrapes Triton and, for GPUs, the
            DCGM exporter: ``"http://prometheus:9090"``.
        texts: In place of ``url``, files with what ``/metrics`` said. Several of one
            server are several times, told by the times of the samples or else of the
            files; for several servers, files by pod (``"pod"``, ``"namespace/pod"``).
        window: How long back: ``"7d"`` (the default), ``"12h"``, or seconds.
        start: Where the window begins, in place of ``window``; ISO 8601, UTC without a
            zone.
        end: Where it ends; now by default.
        step: Of how long a time each number is the mean; the shortest convenient one
            of at most 2,016 in the window, by default.
        token_file: A file with a bearer token, of which nothing is kept or shown.
        ca_path: A file of certificates to trust.
        timeout_s: For one query.
        now_s: Tells the time, in seconds since 1970.

    Raises:
        InvalidInputError: If an argument cannot be used.
        ServerError: If the server cannot be reached, wants a token, answers something
            else, too much, or only partially.
        MissingReadingError: If there is nothing of Triton's counters.
        ProfileDataError: If a text is none of ``/metrics``.
        MissingExtraError: If ``gpupack[clusters]`` is not installed.
    """
    if (url is None) == (texts is None):
        raise InvalidInputError(
            "give the url of a Prometheus, or texts that were saved from /metrics: one "
            "of the two"
        )
    if texts is not None:
        if (window, start, end, step, token_file) != (None,) * 5:
            raise InvalidInputError(
                "texts are read whole: window, start, end, step and token_file are for "
                "a url"
            )
        return observe(read_texts(_saved(texts)))
    from gpupack.importers.prometheus.client import PrometheusClient, read_token

    require_kind("url", url, str, "an address, such as http://prometheus:9090")
    start_s, end_s = find_window(window, start, end, now_s=now_s)
    step_s = None if step is None else parse_duration(step, "step")
    token = None if token_file is None else read_token(token_file)
    with PrometheusClient(
        str(url), token=token, ca_path=ca_path, timeout_s=timeout_s
    ) as client:
        return observe(_read(client, start_s, math.floor(end_s), step_s))


def observe(readings: Readings) -> ObservedCluster:
    """Return what readings tell; see ``ObservedCluster``.

    Raises:
        ProfileDataError: If a counter does not say of which model it is.
    """
    for quantity, found in readings.series.items():
        if not quantity.is_of_gpus and not all(
            one.labels.get("model") for one in found
        ):
            raise ProfileDataError(
                f"{quoted(readings.source)}: {quantity.metric} has a sample without "
                "the label model, which Triton always writes; read its own metrics, "
                "not sums of them"
            )
    joined = join(readings)
    demands = observe_demands(readings, joined)
    gpus = observe_gpus(joined, len(readings.steps))
    estimates = estimate_profiles(readings, joined, demands)
    edges = readings.steps.edges_s
    return ObservedCluster(
        source=readings.source,
        window=ObservationWindow(
            start=moment(edges[0]),
            end=moment(edges[-1]),
            step_s=float(np.mean(readings.steps.lengths_s)),
            times_s=edges[1:],
        ),
        demands=demands,
        gpus=gpus,
        estimates=estimates,
        baselines=estimated_baselines(estimates),
        unknown=_unknown(readings, joined),
        warnings=(*readings.notes, *_gaps(demands)),
    )


def _saved(
    texts: Sequence[AnyPath] | Mapping[str, AnyPath | Sequence[AnyPath]],
) -> list[MetricsText]:
    by_server: Mapping[str, AnyPath | Sequence[AnyPath]]
    by_server = texts if isinstance(texts, Mapping) else {"": texts}
    found = []
    for server, given in by_server.items():
        paths = [given] if isinstance(given, str | os.PathLike) else list(given)
        for path in map(as_path, paths):
            text = read_source_text(path)
            found.append(MetricsText(str(path), text, path.stat().st_mtime, server))
    return found


def _read(
    client: PrometheusClient, start_s: float, end_s: float, step_s: float | None
) -> Readings:
    metric = Quantity.INFERENCES.metric
    length_s = end_s - start_s
    scrape_s = None
    for look_s in _SCRAPE_LOOK_S:
        within_s = max(1, min(look_s, math.ceil(length_s)))
        scrape_s = client.scrape_interval_s(metric, end_s, within_s)
        if scrape_s is not None or look_s >= length_s:
            break
    if scrape_s is None:
        raise MissingReadingError(
            f"{client.where} has no {metric} between {told(start_s)} "
            f"and {told(end_s)}: no Triton is scraped there. Let Prometheus scrape "
            "port 8002 of Triton, or look at another time with --from and --to"
        )
    chosen = (
        choose_step_s(length_s, scrape_s)
        if step_s is None
        else check_step_s(step_s, length_s, scrape_s)
    )
    if chosen > length_s:
        raise InvalidInputError(
            f"the window is {length_s:g} s long, but samples are {scrape_s:.3g} s "
            f"apart: give at least {chosen} s, such as --window 1h"
        )
    steps = Steps.of(start_s, end_s, chosen)
    coarse = steps.coarser(_MOST_COARSE_STEPS)
    series = {
        one: client.read(one, coarse if one.is_coarse else steps, scrape_s)
        for one in Quantity
    }
    if not series[Quantity.INFERENCES]:
        raise MissingReadingError(
            f"{client.where} has samples of {metric}, but too few for a rate: two in "
            f"{chosen} s are needed; look at a longer --window or --step"
        )
    return Readings(client.where, steps, coarse, series)


def _unknown(readings: Readings, joined: Joined) -> tuple[str, ...]:
    """Say what the metrics do not tell, and of whom."""
    found = []
    num_steps = len(readings.steps)
    if joined.without_gpu:
        found.append(
            f"the GPU of {listed(joined.without_gpu)}: Triton's metrics have no "
            "gpu_uuid there, and the DCGM exporter names no GPU of their pods; let the "
            "exporter publish pod labels (DCGM_EXPORTER_KUBERNETES=true)"
        )
    for gpu in joined.gpus:
        name = gpu.labels.get("UUID") or ":".join(filter(None, gpu.key))
        models = sorted(gpu.rates)
        if not models:
            continue
        if not gpu.is_certain:
            found.append(
                f"which GPU of their pod {listed(models)} use, and how much of each "
                f"(one is {name}): the pod has several, and Triton does not say"
            )
        elif not any(on.any() for on in alone(gpu, num_steps).values()):
            others = sorted(gpu.foreign_pods)
            beside = f" and pods without Triton ({listed(others)})" if others else ""
            if num_steps > 1 or len(models) > 1 or others:
                found.append(
                    f"how much of {name} each of {listed(models)}{beside} takes: they "
                    "share it, and only the sum is measured"
                )
        elif np.all(np.isnan(gpu.reading(Quantity.MEMORY_USED, num_steps))):
            found.append(
                f"memory of {name}, with {listed(models)}: there is no "
                f"{Quantity.MEMORY_USED.metric}; run the DCGM exporter there"
            )
    return tuple(dict.fromkeys(found))


def _gaps(demands: Sequence[ObservedDemand]) -> tuple[str, ...]:
    """Say where steps lack data, so that a higher peak may have been missed."""
    lacking = {
        one.model_name: one.num_steps_without_data
        for one in demands
        if one.num_steps_without_data and one.peak_infer_per_sec is not None
    }
    if not lacking:
        return ()
    number = max(lacking.values())
    total = len(demands[0].infer_per_sec)
    return (
        f"up to {number:,} of {total:,} steps have no data, of "
        f"{listed(tuple(lacking))}: a peak in them is not seen",
    )
