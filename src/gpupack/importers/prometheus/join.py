"""Which model was on which GPU in which step: by GPU UUID, or else by pod."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gpupack.importers.prometheus.quantities import Quantity
from gpupack.importers.prometheus.readings import added, merged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from gpupack.importers.prometheus.readings import Readings, Series

GpuKey = tuple[str, str]
"""UUID, or host and number where there is none; and MIG instance, empty for none."""


@dataclass(slots=True)
class SeenGpu:
    """One GPU, or MIG instance, over the steps."""

    key: GpuKey
    labels: dict[str, str]
    readings: dict[Quantity, NDArray[np.float64]] = field(default_factory=dict)
    holders: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    """By pod, the steps in which the exporter named it as the GPU's holder."""
    rates: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """Infer/sec by model; NaN in a step in which the model was not there."""
    pods: set[str] = field(default_factory=set)
    """Of the servers on it."""
    is_certain: bool = True
    """Whether all its models are known to be on this GPU, not beside it."""

    def reading(self, quantity: Quantity, num_steps: int) -> NDArray[np.float64]:
        """Return a quantity in each step, NaN where it was not read."""
        found = self.readings.get(quantity)
        return np.full(num_steps, np.nan) if found is None else found

    @property
    def foreign_pods(self) -> dict[str, NDArray[np.bool_]]:
        """Holders without a model that was read, and the steps of each."""
        return {pod: on for pod, on in self.holders.items() if pod not in self.pods}


@dataclass(frozen=True, slots=True)
class Joined:
    """Models and GPUs, as far as the metrics tell which belong together."""

    gpus: tuple[SeenGpu, ...]
    model_names: Mapping[tuple[str, str], str]
    """What a model is called, by namespace and name."""
    without_gpu: tuple[str, ...]
    """Models of servers of which nothing tells the GPU."""

    def called(self, series: Series) -> str:
        """Return what the model of a series is called."""
        return self.model_names[series.label("namespace"), series.label("model")]


def join(readings: Readings) -> Joined:
    """Put models on GPUs: by ``gpu_uuid`` of Triton's metrics, or by pod.

    Of a pod with several GPUs, whose server does not say which it uses, every model
    counts as on all of them, and none as certain.
    """
    gpus = _gpus(readings)
    of_pod: dict[str, list[SeenGpu]] = {}
    for gpu in gpus.values():
        for pod in gpu.holders:
            of_pod.setdefault(pod, []).append(gpu)
    names = _model_names(readings)
    lost: set[str] = set()
    for series in readings.of(Quantity.INFERENCES):
        called = names[series.label("namespace"), series.label("model")]
        pod = _pod(series.label("namespace"), series.label("pod"))
        uuid = series.label("gpu_uuid")
        whole = gpus.get((uuid, ""))
        if whole is not None:
            found = [whole]
        elif pod in of_pod:
            found = of_pod[pod]
        elif uuid:
            found = [gpus.setdefault((uuid, ""), SeenGpu((uuid, ""), {"UUID": uuid}))]
        else:
            lost.add(called)
            continue
        for gpu in found:
            gpu.pods.add(pod)
            gpu.is_certain &= len(found) == 1
            before = gpu.rates.get(called)
            gpu.rates[called] = (
                series.values if before is None else added(before, series.values)
            )
    return Joined(
        gpus=tuple(sorted(gpus.values(), key=_order)),
        model_names=names,
        without_gpu=tuple(sorted(lost)),
    )


def _gpus(readings: Readings) -> dict[GpuKey, SeenGpu]:
    found: dict[GpuKey, SeenGpu] = {}
    is_relabeled = any(
        series.label("exported_pod") for _, series in _gpu_series(readings)
    )
    for quantity, series in _gpu_series(readings):
        identity = series.label("UUID") or (
            f"{series.label('Hostname')}:{series.label('gpu')}"
        )
        key = identity, series.label("GPU_I_ID")
        gpu = found.setdefault(key, SeenGpu(key, dict(series.labels)))
        before = gpu.readings.get(quantity)
        gpu.readings[quantity] = (
            series.values if before is None else merged(before, series.values)
        )
        holder = _holder(series, is_relabeled=is_relabeled)
        if holder:
            seen = ~np.isnan(series.values)
            known = gpu.holders.get(holder)
            gpu.holders[holder] = seen if known is None else known | seen
    return found


def _gpu_series(readings: Readings) -> Iterator[tuple[Quantity, Series]]:
    for quantity in Quantity:
        if quantity.is_of_gpus:
            for series in readings.of(quantity):
                yield quantity, series


def _holder(series: Series, *, is_relabeled: bool) -> str:
    """Return the pod that holds a GPU; empty for none.

    Where Prometheus set ``pod`` itself, that is the exporter's own, and the holder is
    ``exported_pod``; an idle GPU then has the exporter's alone.
    """
    if is_relabeled:
        return _pod(series.label("exported_namespace"), series.label("exported_pod"))
    pod = series.label("pod")
    return "" if "dcgm" in pod else _pod(series.label("namespace"), pod)


def _pod(namespace: str, pod: str) -> str:
    return f"{namespace}/{pod}" if namespace and pod else pod


def _model_names(readings: Readings) -> dict[tuple[str, str], str]:
    """Call models by name, and by namespace too where two namespaces have the name."""
    pairs = {
        (series.label("namespace"), series.label("model"))
        for quantity in Quantity
        if not quantity.is_of_gpus
        for series in readings.of(quantity)
    }
    namespaces: dict[str, set[str]] = {}
    for namespace, model in pairs:
        namespaces.setdefault(model, set()).add(namespace)
    return {
        (namespace, model): f"{namespace}/{model}"
        if namespace and len(namespaces[model]) > 1
        else model
        for namespace, model in sorted(pairs)
    }


def _order(gpu: SeenGpu) -> tuple[str, int, str, str, str]:
    number = gpu.labels.get("gpu", "")
    at = int(number) if number.isdecimal() else -1
    return gpu.labels.get("Hostname", ""), at, number, *gpu.key
