# Long because every line that a placement is told in stands beside the others.
"""Records as text, Markdown and a small HTML table.

Model names are untrusted: control characters are shown escaped everywhere, markup
escaped in Markdown, and everything escaped in HTML (by tabulate).
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from tabulate import tabulate

from gpupack.cost import HOURS_PER_MONTH, cost_of
from gpupack.quoting import for_people, number_ranges, printable, printable_name
from gpupack.records.gpu import Resource, ResourceUnit
from gpupack.records.placement import Objective, ObjectiveUnit, PlacementStatus
from gpupack.report.cautions import cautions_of, other_warnings, type_text
from gpupack.report.markdown import markdown_name, markdown_text
from gpupack.units import in_digits, mib_from_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.cost import Cost
    from gpupack.records.placement import (
        Assignment,
        GpuPlacement,
        PlacedGpus,
        PlacementRecord,
        ResourceUse,
    )
    from gpupack.records.profile import (
        LoadPoint,
    )

RESOURCE_TITLES = {
    Resource.MEMORY: "MiB",
    Resource.GPU_UTILIZATION: "GPU %",
    Resource.MEMORY_UTILIZATION: "mem %",
    Resource.SM_UTILIZATION: "SM %",
    Resource.HOST_CPU: "host cores",
    Resource.HOST_MEMORY: "host MiB",
}
"""Short titles, as nvidia-smi abbreviates."""
_MOST_COSTS = 8
"""Models whose cost is written out; those that cost most."""


def format_number(value: float | None, digits: int = 1) -> str:
    """Return a number for people: thousands separated, no trailing ``.0``."""
    if value is None:
        return "–"
    text = f"{value:,.{digits}f}"
    return text.removesuffix("." + "0" * digits) if digits else text


def number_of(resource: Resource, amount: float) -> str:
    """Return an amount of a resource for people: MiB, percent or cores, unit left out.

    Cores have two decimals: a hundredth of a core is a whole percent of it.
    """
    if resource.unit is ResourceUnit.BYTES:
        return format_number(mib_from_bytes(amount), 0)
    if resource.unit is ResourceUnit.CORES:
        text = format_number(amount, 2)
        return text.rstrip("0").rstrip(".") if "." in text else text
    return format_number(amount)


def format_rate(infer_per_sec: float | None) -> str:
    """Return a throughput for people; a trickle is told from nothing."""
    if infer_per_sec is not None and 0 < infer_per_sec < 0.1:
        return f"{infer_per_sec:.1g}"
    return format_number(infer_per_sec)


def format_price(price: float | None, currency: str | None = None) -> str:
    """Return a price for people, in its currency; a tiny one is told from nothing."""
    unit = "" if currency is None or price is None else f" {printable(currency)}"
    if price is not None and 0 < price < 0.1:
        return f"{price:.3g}{unit}"
    return format_number(price, 2) + unit


def load_text(assignment: Assignment, *, with_traffic: bool = True) -> str:
    """Return load point, traffic and retention, as ``"2x4, 28 infer/sec, keeps 88%"``.

    Args:
        assignment: Where it has no traffic or no retention, that is left out.
        with_traffic: Whether to say how much traffic it takes.
    """
    parts = [printable_name(str(assignment.load_point))]
    if with_traffic and assignment.served_infer_per_sec is not None:
        parts.append(f"{format_rate(assignment.served_infer_per_sec)} infer/sec")
    if assignment.retention is not None:
        is_idle = assignment.served_infer_per_sec == 0
        parts.append("loaded" if is_idle else f"keeps {assignment.retention:.0%}")
    latency = latency_text(assignment)
    if latency is not None:
        parts.append(latency)
    return ", ".join(parts)


def latency_text(assignment: Assignment) -> str | None:
    """Return the predicted latency beside its limit, as ``"31 of 50 ms"``.

    None where there is no limit, or no traffic to predict a latency of.
    """
    limit_ms = assignment.latency_limit_ms
    if limit_ms is None or not assignment.served_infer_per_sec:
        return None
    if assignment.predicted_latency_us is None:
        return f"later and later, limit {limit_ms:g} ms"
    return f"{in_digits(assignment.predicted_latency_us / 1000, 3)} of {limit_ms:g} ms"


def one_more_gpu_text(placement: PlacementRecord) -> str | None:
    """Return what one more GPU would buy of latency; None if nothing is known."""
    more = placement.one_more_gpu
    if more is None:
        return None
    name = printable_name(more.model_name)
    if more.latency_us is None:
        now = "which would answer later and later"
    else:
        now = f"from {latency_ms(more.latency_us, more.latency_p50_us)}"
    moved = ", ".join(map(printable_name, dict.fromkeys(more.moved)))
    how = (
        "with half of its traffic on a copy there"
        if more.copied is not None
        else f"with {moved} moved there"
    )
    return (
        f"would take the predicted p{more.latency_percentile} of {name} on GPU "
        f"{more.gpu_index} {now} to {latency_ms(more.with_it_us, more.p50_with_it_us)}"
        f", limit {more.latency_limit_ms:g} ms, {how}"
    )


def one_more_gpu_lines(placement: PlacementRecord) -> list[str]:
    """Return the line on what one more GPU would buy; none if nothing is known."""
    text = one_more_gpu_text(placement)
    return [] if text is None else [f"one more GPU {text}"]


def latency_ms(high_us: float | None, median_us: float | None) -> str:
    """Return a predicted percentile with the median: ``"31 ms (p50 12)"``."""
    if high_us is None:
        return "later and later"
    median = "" if median_us is None else f" (p50 {in_digits(median_us / 1000, 3)})"
    return f"{in_digits(high_us / 1000, 3)} ms{median}"


def variant_name(load_point: LoadPoint) -> str | None:
    """Return the variant of a load point in words, None if there is none."""
    return None if load_point.variant is None else str(load_point.variant)


def format_placement(placement: PlacementRecord) -> str:
    """Return cautions, headline, table and other warnings as plain text."""
    cautions = cautions_of(placement)
    lines = [f"warning: {for_people(text)}" for text in cautions]
    lines += [""] if cautions else []
    lines += [headline(placement), ""]
    if placement.gpus:
        lines.append(_gpu_table(placement, "simple", "\n"))
        lines += ["", *placement_legend(placement, has_left=True)]
        lines += one_more_gpu_lines(placement)
        lines += [*cost_lines(placement), ""]
    lines.extend(f"warning: {for_people(text)}" for text in other_warnings(placement))
    return "\n".join(lines).rstrip()


def cost_details(cost: Cost) -> str:
    """Return what a year and a million inferences cost, and for how much idle time."""
    parts = [f"{format_price(cost.price_per_year)} per year"]
    if cost.price_per_million_inferences is not None:
        price = format_price(cost.price_per_million_inferences)
        parts.append(f"{price} per million inferences")
    if cost.idle_share is not None:
        parts.append(f"{cost.idle_share:.0%} of it for idle GPU time")
    return ", ".join(parts)


def cost_lines(placement: PlacementRecord) -> list[str]:
    """Return what a placement costs, in all and by model; nothing without prices."""
    cost = cost_of(placement)
    if cost is None:
        return []
    dearest = sorted(
        cost.by_model.items(), key=lambda one: (-one[1].price_per_hour, one[0])
    )
    told = [
        f"{printable_name(name)} {format_price(one.price_per_hour * HOURS_PER_MONTH)}"
        + (
            f" ({format_price(one.price_per_million_inferences)} per million)"
            if one.price_per_million_inferences is not None
            else ""
        )
        for name, one in dearest[:_MOST_COSTS]
    ]
    more = len(dearest) - _MOST_COSTS
    return [
        f"cost: {format_price(cost.price_per_hour, placement.currency)} per hour, "
        f"{format_price(cost.price_per_month)} per month, {cost_details(cost)}",
        f"per month by model: {', '.join(told)}"
        + (f" and {more:,} more" if more > 0 else ""),
    ]


def placement_legend(placement: PlacementRecord, *, has_left: bool) -> list[str]:
    """Return a line on each abbreviation of a placement's table that needs one.

    Args:
        placement: What the table shows.
        has_left: Whether it has what is left in parentheses.
    """
    assignments = [one for gpu in placement.gpus.runs for one in gpu.assignments]
    if not assignments:
        return []
    point = assignments[0].load_point
    lines = [
        f"{point}: batch size {point.batch_size}, {point.concurrency} "
        f"request{'' if point.concurrency == 1 else 's'} in flight"
    ]
    if has_left and tuple(placement.headroom):
        lines[0] += "; (left): what the headroom still allows"
    several = next((one for one in placement.groups if len(one) > 1), None)
    if several is not None:
        name = printable_name(several[0].gpu_type.name)
        lines.append(f"{times(several)}{name}: so many GPUs that hold just this, each")
    kept = [
        one
        for one in assignments
        if one.retention is not None and one.served_infer_per_sec != 0
    ]
    if kept:
        of_what = "the traffic it takes" if _takes(kept) else "its throughput alone"
        lines.append(
            f"keeps: predicted share of {of_what} while all models of the GPU are busy"
        )
        lines += basis_lines(placement)
    if any(
        one.served_infer_per_sec == 0 and one.retention is not None
        for one in assignments
    ):
        lines.append("loaded: in memory, and takes no traffic (as for a demand of 0)")
    if any(latency_text(one) is not None for one in assignments):
        request = placement.request
        percentile = 99 if request is None else request.latency_percentile
        arrivals = "poisson" if request is None else request.arrivals
        lines.append(
            f"31 of 50 ms: predicted p{percentile} latency beside its neighbors, of "
            f"requests that arrive ({arrivals}) at the planned rate, and its limit"
        )
    return lines


def basis_lines(placement: PlacementRecord) -> list[str]:
    """Return what the predictions rest on, one line for each different basis."""
    names_by_basis: dict[str, list[str]] = {}
    for name, basis in placement.predicted_by.items():
        names_by_basis.setdefault(for_people(basis), []).append(printable_name(name))
    if len(names_by_basis) == 1:
        return [f"predicted by: {basis}" for basis in names_by_basis]
    return [
        f"predicted by, on {', '.join(names)}: {basis}"
        for basis, names in names_by_basis.items()
    ]


def _takes(assignments: Sequence[Assignment]) -> bool:
    return any(one.served_infer_per_sec is not None for one in assignments)


def placement_markdown(placement: PlacementRecord) -> str:
    """Return cautions, the headline and a Markdown table with one row per GPU."""
    first = "".join(
        f"**Warning:** {markdown_text(text)}\n\n" for text in cautions_of(placement)
    )
    return f"{first}{headline(placement)}\n\n{_gpu_table(placement, 'pipe', ', ')}\n"


def placement_html_table(placement: PlacementRecord) -> str:
    """Return cautions, the headline and an escaped HTML table, one row per GPU."""
    first = "".join(
        f"<p><strong>Warning:</strong> {escape(for_people(text))}</p>\n"
        for text in cautions_of(placement)
    )
    return f"{first}<p>{headline(placement)}</p>\n{_gpu_table(placement, 'html', ', ')}"


def headline(placement: PlacementRecord) -> str:
    """Return one line: how many GPUs, how good, proved by what."""
    gpus = f"{placement.num_gpus} GPU{'' if placement.num_gpus == 1 else 's'}"
    if placement.status is PlacementStatus.OPTIMAL:
        proof = f"OPTIMAL, {found_and_proved(placement)}"
    else:
        proof = (
            f"FEASIBLE, proven bound {_bound(placement)}, gap {placement.gap:.1%}; "
            f"{found_and_proved(placement)}"
        )
    value = ""
    if placement.objective is Objective.MIN_COST:
        price = format_price(placement.objective_value, placement.currency)
        value = f", {price} per hour"
    elif placement.objective_unit.is_maximized:
        value = f", {_served(placement, placement.objective_value)}"
    shares = ", ".join(
        f"{resource.value} {format_number(share * 100)} %"
        for resource, share in placement.headroom
    )
    return (
        f"{placement.objective.value}: {gpus}{value} ({proof}; "
        f"{placement.seconds:.2g} s); headroom {shares}"
    )


def found_and_proved(placement: PlacementRecord) -> str:
    """Return what found a placement and what proved its bound, each by its name."""
    proof = f"proved by {printable(placement.proof)}"
    if placement.status is not PlacementStatus.OPTIMAL:
        proof = f"bound by {printable(placement.proof)}"
    if placement.found_by is None or placement.found_by == placement.proof:
        return proof if placement.found_by is None else f"found and {proof}"
    return f"found by {printable(placement.found_by)}, {proof}"


def _bound(placement: PlacementRecord) -> str:
    if placement.objective_unit.is_maximized:
        return _served(placement, placement.bound)
    if placement.objective_unit is ObjectiveUnit.PRICE_PER_HOUR:
        return f"{format_price(placement.bound, placement.currency)} per hour"
    return format_number(placement.bound)


def _served(placement: PlacementRecord, value: float) -> str:
    unit = placement.objective_unit
    text = (
        f"{value:.1%}" if unit is ObjectiveUnit.SERVED_SHARE else format_number(value)
    )
    return f"{text} {unit.words}"


def placement_rows(placement: PlacementRecord) -> list[list[dict[str, object]]]:
    """Return a flat row per model instance on one GPU, for each of ``gpus.runs``."""
    return [
        [
            {
                "gpu_index": gpu.gpu_index,
                "gpu_type": gpu.gpu_type.name,
                "model_name": assignment.model_name,
                "batch_size": assignment.load_point.batch_size,
                "concurrency": assignment.load_point.concurrency,
                "requests_per_sec": assignment.load_point.requests_per_sec,
                "variant": variant_name(assignment.load_point),
            }
            | assignment.model_dump(exclude={"model_name", "load_point"})
            for assignment in gpu.assignments
        ]
        for gpu in placement.gpus.runs
    ]


def _gpu_table(placement: PlacementRecord, style: str, separator: str) -> str:
    resources = [
        resource
        for resource in Resource
        if any(gpu.resource(resource) for gpu in placement.gpus.runs)
        and (
            resource is not Resource.SM_UTILIZATION or placement.headroom.sm_utilization
        )
    ]
    told = markdown_name if style == "pipe" else printable_name
    is_aligned = separator == "\n"  # a line per model, so that traffic has a column
    below = "\n" if is_aligned else " "  # two lines of titles are narrower
    has_traffic_column = is_aligned and bool(placement.served_infer_per_sec)
    types = {name: told(type_text(placement, name)) for name in placement.gpus_by_type}
    rows = [
        [
            gpu_numbers(group),
            times(group) + types[gpu.gpu_type.name],
            separator.join(
                f"{told(one.model_name)} "
                f"({load_text(one, with_traffic=not is_aligned)})"
                for one in gpu.assignments
            ),
            *([_traffic_text(gpu, separator)] if has_traffic_column else []),
            *(_use_text(gpu, resource) for resource in resources),
        ]
        for group in placement.groups
        for gpu in group.runs[:1]
    ]
    titles = ["infer/sec"] if has_traffic_column else []
    titles += [
        RESOURCE_TITLES[resource]
        + ("" if placement.headroom.share(resource) is None else f"{below}(left)")
        for resource in resources
    ]
    return tabulate(
        rows,
        headers=["GPU", "type", "models", *titles],
        tablefmt=style,
        disable_numparse=True,
        colalign=["right", "left", "left"] + ["right"] * len(titles),
    )


def gpu_numbers(group: PlacedGpus) -> str:
    """Return the indices of GPUs in few words: ``"0–6"``, ``"0–2, 5 and 9 more"``."""
    return number_ranges(run.gpu_indices for run in group.runs)


def times(group: Sequence[GpuPlacement]) -> str:
    """Return how often a GPU is there: ``"7 × "``; nothing for one alone."""
    return f"{len(group):,} × " if len(group) > 1 else ""


def _traffic_text(gpu: GpuPlacement, separator: str) -> str:
    return separator.join(
        format_rate(one.served_infer_per_sec) for one in gpu.assignments
    )


def _use_text(gpu: GpuPlacement, resource: Resource) -> str:
    use = gpu.resource(resource)
    if use is None:
        return "–"
    used = _in_display_unit(use, use.used)
    return used if use.limit is None else f"{used} ({_in_display_unit(use, use.left)})"


def _in_display_unit(use: ResourceUse, value: float) -> str:
    return number_of(use.resource, value)
