"""A request to be filled in: YAML with every model, and what may be asked of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

from gpupack.quoting import printable
from gpupack.records.gpu import UNKNOWN_GPU_TYPE
from gpupack.report.text import format_number, format_rate
from gpupack.units import mib_from_bytes

if TYPE_CHECKING:
    from gpupack.profile_set import ProfileSet
    from gpupack.records.profile import ProfileRecord
    from gpupack.records.request import Request

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
# Of all prices, as it is told; and which of them counts: on_demand or reserved.
# currency: EUR
# billing: on_demand

# What every demand is multiplied by.
# growth: 1.5

# Whether demands are met as measured alone (plain) or beside their neighbors, too.
# demand_met: predicted

# Whether GPU types of which nothing was measured are planned for by estimates.
# estimate_unmeasured: true

# What is asked of every model that is not asked otherwise below.
# defaults: {latency_limit_ms: 50, min_retention: 0.9}

# Of each model:
#   demand            infer/sec to be served, by as many replicas as needed; 0 keeps it
#                     loaded with no traffic to meet, left out nobody knows
#   latency_limit_ms  load points that take longer, measured alone, are no options
#   replicas          instances: exactly so many, or at least so many with a demand
#   max_replicas      instances at most, with a demand
#   min_traffic       infer/sec that each of several replicas serves at least
#   one_load_point    true: all replicas run at one load point
#   min_retention     share of its throughput to keep beside its neighbors: 0.9
#   load_point        the only one to plan with: 2x4 (batch size x concurrency)
#   weight            of one infer/sec in max_throughput
#   optional          true: it may be left out
#   left_out          true: it is not planned for, as if it had no profile
"""


def request_template(profiles: ProfileSet, asked: Request | None = None) -> str:
    """Return a request to be filled in, with a line for every model.

    Args:
        profiles: What to plan for.
        asked: What is asked of models already, such as by columns of their table; it
            stands in the request. None for nothing yet.

    Returns:
        YAML that ``read_request()`` takes, with examples as comments.
    """
    parts = [_HEAD, _supply(profiles), _TAIL, "models:\n"]
    by_name: dict[str, list[ProfileRecord]] = {}
    for record in profiles.records:
        by_name.setdefault(record.model_name, []).append(record)
    for name in sorted(by_name):
        parts.append(f"  # {_what_is_known(by_name[name])}\n")
        wishes = _wishes(asked, name)
        example = "" if wishes else f"  # {{demand: {_example(by_name[name])}}}"
        parts.append(f"  {_key(name)}: {wishes or '{}'}{example}\n")
    if not by_name:
        parts[-1] = "models: {}\n"
    return "".join(parts)


def _wishes(asked: Request | None, name: str) -> str:
    """Return what is asked of a model already, as YAML in a line; empty if nothing."""
    wishes = None if asked is None else asked.models.get(name)
    if wishes is None:
        return ""
    said = wishes.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    if not said:
        return ""
    whole = {
        wish: int(value) if isinstance(value, float) and value.is_integer() else value
        for wish, value in said.items()
    }
    dumped: str = yaml.safe_dump(whole, default_flow_style=True, width=10**9)
    return dumped.strip()


def _supply(profiles: ProfileSet) -> str:
    """Return what GPUs there might be: those that were measured, as an example."""
    known = [one.name for one in profiles.gpu_types if one != UNKNOWN_GPU_TYPE]
    names = known or ["T4"]
    fleet = ", ".join(
        f"{_key(name)}: {{count: 8, price: 0.35, reserved_price: 0.22}}"
        for name in names
    )
    comment = (
        "# The GPUs, how many there are (as many as needed if left out), and what one\n"
        "# costs per hour, in your currency. Models take no more of the host\n"
        "# than is said for each (host_cpus_per_gpu: 8, host_memory_per_gpu: 64GB).\n"
    )
    if len(known) < len(profiles.gpu_types):
        comment += "# The profiles do not say which GPU they are of: name it here.\n"
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
    return f"{float(f'{max(rates) or 100:.3g}'):.15g}"


def _key(name: str) -> str:
    """Return a name as a key of YAML, in quotes unless it is plainly text."""
    if _PLAIN_NAME.fullmatch(name) and yaml.safe_load(name) == name:
        return name
    dumped: str = yaml.safe_dump(
        name, default_style='"', allow_unicode=True, width=10**9
    )
    return dumped.strip()
