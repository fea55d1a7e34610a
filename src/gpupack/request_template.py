"""A request to be filled in: YAML with every model, and what may be asked of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

from gpupack.quoting import printable
from gpupack.report.text import format_number, format_rate
from gpupack.units import mib_from_bytes

if TYPE_CHECKING:
    from gpupack.profile_set import ProfileSet
    from gpupack.records.profile import ProfileRecord

_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_HEAD = """\
# What gpupack is to plan: gpupack place SOURCE --request THIS_FILE
# Take away the "# " before a line to ask for it. Options in the shell win over the
# file. A model without wishes is placed once, at any load point that was measured.

# min_gpus (the fewest), min_cost (the cheapest), or max_throughput
objective: min_gpus

# The share of a GPU that may be used: 80 % leaves a fifth free.
# headroom: 80%
"""
_TAIL = """
# What every demand is multiplied by.
# growth: 1.5

# What is asked of every model that is not asked otherwise below.
# defaults: {latency_limit_ms: 50, min_retention: 0.9}

# Of each model:
#   demand            infer/sec to be served, by as many replicas as needed
#   latency_limit_ms  load points that take longer, measured alone, are no options
#   replicas          instances: exactly so many, or at least so many with a demand
#   max_replicas      instances at most, with a demand
#   min_traffic       infer/sec that each of several replicas serves at least
#   one_load_point    true: all replicas run at one load point
#   min_retention     share of its throughput to keep beside its neighbors: 0.9
#   load_point        the only one to plan with: 2x4 (batch size x concurrency)
#   weight            of one infer/sec in max_throughput
#   optional          true: it may be left out
"""


def request_template(profiles: ProfileSet) -> str:
    """Return a request that asks nothing yet, with a line for every model.

    Args:
        profiles: What to plan for.

    Returns:
        YAML that ``read_request()`` takes, with examples as comments.
    """
    parts = [_HEAD, _supply(profiles), _TAIL, "models:\n"]
    by_name: dict[str, list[ProfileRecord]] = {}
    for record in profiles.records:
        by_name.setdefault(record.model_name, []).append(record)
    for name in sorted(by_name):
        parts.append(f"  # {_what_is_known(by_name[name])}\n")
        parts.append(f"  {_key(name)}: {{}}  # {{demand: {_example(by_name[name])}}}\n")
    if not by_name:
        parts[-1] = "models: {}\n"
    return "".join(parts)


def _supply(profiles: ProfileSet) -> str:
    """Return what GPUs there might be: those that were measured, as an example."""
    names = [gpu_type.name for gpu_type in profiles.gpu_types] or ["T4"]
    fleet = ", ".join(f"{_key(name)}: {{count: 8, price: 0.35}}" for name in names)
    comment = (
        "# The GPUs, how many there are (as many as needed if left out), and what one\n"
        "# costs per hour, in your currency.\n"
    )
    if len(names) > 1:
        types = ", ".join(f"{_key(name)}: {{}}" for name in names)
        return f"\n{comment}gpus: {{{types}}}\n# gpus: {{{fleet}}}\n"
    return f"\n{comment}# gpus: {{{fleet}}}\n"


def _what_is_known(records: list[ProfileRecord]) -> str:
    """Return in half a sentence what was measured of a model."""
    points = dict.fromkeys(str(one.load_point) for one in records)
    told = [f"measured at {printable(', '.join(points))}"]
    rates = [one.throughput_infer_per_sec or 0.0 for one in records]
    if max(rates):
        told.append(f"up to {format_rate(max(rates))} infer/sec alone")
    memory = [one.gpu_memory_used_bytes or 0 for one in records]
    if max(memory):
        mib = format_number(mib_from_bytes(max(memory)), 0)
        told.append(f"{mib} MiB with the server")
    return "; ".join(told)


def _example(records: list[ProfileRecord]) -> str:
    rates = [one.throughput_infer_per_sec or 0.0 for one in records]
    return f"{max(rates) or 100:.3g}"


def _key(name: str) -> str:
    """Return a name as a key of YAML, in quotes unless it is plainly text."""
    if _PLAIN_NAME.fullmatch(name) and yaml.safe_load(name) == name:
        return name
    dumped: str = yaml.safe_dump(
        name, default_style='"', allow_unicode=True, width=10**9
    )
    return dumped.strip()
