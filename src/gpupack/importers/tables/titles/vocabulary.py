"""The words of column titles: quantities, statistics and units, in their spellings."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gpupack.importers.tables.units import KNOWN, Kind, folded, worth

_SYNONYMS = {
    **dict.fromkeys(["mem", "vram", "framebuffer", "fb", "speicher"], "memory"),
    **dict.fromkeys(
        ["util", "utilisation", "utilizations", "auslastung"], "utilization"
    ),
    **dict.fromkeys(["usage", "use"], "used"),
    **dict.fromkeys(["lat", "latencies", "latenz"], "latency"),
    **dict.fromkeys(["tput", "thruput", "thrpt", "thpt", "durchsatz"], "throughput"),
    **dict.fromkeys(["inference", "inferences", "infers"], "infer"),
    **dict.fromkeys(["concurrent", "conc"], "concurrency"),
    **dict.fromkeys(["batchsize", "bs"], "batch"),
    **dict.fromkeys(["models"], "model"),
    **dict.fromkeys(["clients"], "client"),
    **dict.fromkeys(["gpus"], "gpu"),
    **dict.fromkeys(["cpus"], "cpu"),
    **dict.fromkeys(["cores"], "core"),
    **dict.fromkeys(["requests", "req", "reqs"], "request"),
    **dict.fromkeys(["sizes"], "size"),
    **dict.fromkeys(["groups"], "group"),
    **dict.fromkeys(["instances"], "instance"),
    **dict.fromkeys(["maximum", "peak", "highest"], "max"),
    **dict.fromkeys(["avg", "average"], "mean"),
    **dict.fromkeys(["minimum", "lowest"], "min"),
    **dict.fromkeys(["stddev", "stdev"], "std"),
    "median": "p50",
    "modell": "model",
    "typ": "type",
}
_STATISTICS = frozenset(["max", "mean", "min", "std"])
_WORDS = re.compile(r"p\d+(?:\.\d+)?|\d+(?:th|st|nd|rd)?|[^\W\d_]+")
_BRACKETS = re.compile(r"[(\[]([^()\[\]]*)[)\]]")
_PER = re.compile(r"([^\W\d_]+)(?:\s*/\s*|[\s_]+per[\s_]+)(s|sec|second|min)\b")
_IN_UNIT = re.compile(r"(?:,|\bin\b)\s*([^\W\d_]+)\s*$")
_UNIT_SPLIT = re.compile(r"[\W_]+")
_UNIT_WORDS = frozenset(["unit", "units", "einheit", "unité", "unidad", "unità"])
CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_ORDINAL = re.compile(r"(\d+)(?:th|st|nd|rd)?")


@dataclass(frozen=True, slots=True)
class QuantityWords:
    """A quantity: the words its titles must have, and those they may have."""

    name: str
    core: frozenset[str]
    noise: frozenset[str]
    kind: Kind | None = None

    def is_named_by(self, words: frozenset[str]) -> bool:
        """Return whether a title of these words is of this quantity."""
        return self.core <= words <= self.core | self.noise


def _quantity(
    name: str, cores: str, noise: str = "", kind: Kind | None = None
) -> list[QuantityWords]:
    return [
        QuantityWords(name, frozenset(core.split()), frozenset(noise.split()), kind)
        for core in cores.split("|")
    ]


QUANTITIES = [
    *_quantity("ignored", "client send|client recv|request response|response wait"),
    *_quantity(
        "ignored", "client response wait|client send recv|server compute", "perf"
    ),
    *_quantity("ignored", "network server send recv"),
    *_quantity("ignored", "response wait time|request response time"),
    *_quantity("ignored", "ram used|ram available|cpu used ram|cpu available ram"),
    *_quantity("ignored", "memory available|memory free|memory total", "gpu"),
    *_quantity("ignored", "server cache hit|server cache miss"),
    *_quantity(
        "throughput",
        "throughput",
        "perf infer model server client completed successful",
        Kind.RATE,
    ),
    *_quantity("request_throughput", "request throughput", "perf", Kind.RATE),
    *_quantity(
        "latency",
        "latency|response time",
        "perf gpu request infer client batch e2e percentile",
        Kind.TIME,
    ),
    *_quantity("gpu_utilization", "gpu utilization|utilization", "", Kind.SHARE),
    *_quantity("memory_utilization", "memory utilization", "gpu", Kind.SHARE),
    *_quantity("memory", "memory|memory used", "gpu device", Kind.MEMORY),
    *_quantity("host_memory", "host memory|host ram|host rss", "used", Kind.MEMORY),
    *_quantity("host_cpu", "host cpu|host core", "used core", Kind.CORES),
    *_quantity(
        "sm_utilization", "sm utilization|sm active|sm activity", "", Kind.SHARE
    ),
    *_quantity("sm_occupancy", "sm occupancy", "", Kind.SHARE),
    *_quantity("dram_bandwidth", "dram bandwidth|dram active", "used", Kind.SHARE),
    *_quantity("tensor_activity", "tensor activity|tensor active", "", Kind.SHARE),
    *_quantity("power", "power|power used|power draw", "gpu", Kind.POWER),
    *_quantity("energy", "energy|energy consumption", "gpu", Kind.ENERGY),
    *_quantity("server_queue", "server queue|queue time", "perf time", Kind.TIME),
    *_quantity("compute_input", "server compute input", "perf time", Kind.TIME),
    *_quantity("compute_infer", "server compute infer", "perf time", Kind.TIME),
    *_quantity("compute_output", "server compute output", "perf time", Kind.TIME),
    *_quantity("model_name", "model|model name|name"),
    *_quantity("batch_size", "batch|batch size", "request"),
    *_quantity("concurrency", "concurrency|concurrency request", "level range client"),
    *_quantity("concurrency", "client", "num number"),
    *_quantity("requests_per_sec", "request rate", "offered range"),
    *_quantity("variant", "model config path|variant|config|model config|config name"),
    *_quantity("instance_group", "instance group"),
    *_quantity("num_model_instances", "instance|instance count|model instance", "num"),
    *_quantity("preferred_batch_sizes", "preferred batch size"),
    *_quantity("dynamic_batching", "dynamic batch|dynamic batcher size", "size"),
    *_quantity("dynamic_batching", "dynamic batching"),
    *_quantity("satisfies_constraints", "satisfies constraints"),
    *_quantity("num_gpus", "gpu num|gpu count|gpu number"),
    *_quantity("gpu", "gpu|gpu type|gpu name|gpu model|accelerator"),
    *_quantity("gpu_uuid", "gpu uuid|uuid|gpu id|gpu index"),
]


QUANTITY_WORDS = frozenset(word for one in QUANTITIES for word in one.core)
"""A title without any of them is of no quantity."""


def unit_of(title: str) -> str | None:
    """Return what a title of units is of: ``"memory unit"`` of ``"memory"``.

    Empty if it does not say; None if it is no title of units.
    """
    words = [one for one in _UNIT_SPLIT.split(title.casefold()) if one]
    rest = [one for one in words if one not in _UNIT_WORDS and one != "of"]
    is_unit = bool(words) and (words[0] in _UNIT_WORDS or words[-1] in _UNIT_WORDS)
    return " ".join(rest) if is_unit else None


def title_parts(title: str) -> tuple[frozenset[str], str | None, str | None]:
    """Return a title's words, its statistic and its unit."""
    text = title.casefold()
    unit: str | None = None
    for bracket in _BRACKETS.findall(text):
        if folded(bracket) in KNOWN or worth(Kind.RATE, bracket) is not None:
            unit = folded(bracket)
    text = _BRACKETS.sub(" ", text) if unit is not None else text
    per = _PER.search(text)
    if per is not None:
        rate = f"{_SINGULAR.get(per[1], per[1])}/{'min' if per[2] == 'min' else 'sec'}"
        if worth(Kind.RATE, rate) is not None:
            unit = unit or rate
            text = f"{text[: per.start()]} {text[per.end() :]}"
    named = _IN_UNIT.search(text)
    if named is not None and folded(named[1]) in KNOWN:
        unit = unit or folded(named[1])
        text = text[: named.start()]
    if "%" in text:
        unit = unit or "%"
    found = [_SYNONYMS.get(word, word) for word in _WORDS.findall(text)]
    if unit is None and found and found[-1] in KNOWN:
        is_alone = len(found) == 1
        if not is_alone or worth(Kind.RATE, found[-1]) is not None:
            unit = found.pop()
    statistic = None
    words = []
    for word in found:
        if word in _STATISTICS or re.fullmatch(r"p\d+(?:\.\d+)?", word):
            statistic = word if statistic is None else f"{statistic} {word}"
        elif "percentile" in found and (ordinal := _ORDINAL.fullmatch(word)):
            statistic = f"p{ordinal[1]}"
        else:
            words.append(word)
    return frozenset(words), statistic, unit


_SINGULAR = {
    **dict.fromkeys(["inference", "inferences", "infers", "inf"], "infer"),
    **dict.fromkeys(["request", "req", "reqs", "query", "queries"], "requests"),
    **dict.fromkeys(["item", "sample", "samples", "image", "images", "img"], "items"),
}
