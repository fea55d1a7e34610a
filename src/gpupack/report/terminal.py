"""A placement as bars in a terminal, at most 80 columns wide.

Colours come from rich, which honours NO_COLOR; models are told apart by the blocks
they are drawn with as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from rich.text import Text

from gpupack.quoting import for_people, printable_name
from gpupack.report.bars import (
    RESOURCE_NAMES,
    Bar,
    bar_of,
    full_scale,
    shown_resources,
)
from gpupack.report.cautions import cautions_of, other_warnings, type_text
from gpupack.report.palette import SERVER_COLOR, style_by_model
from gpupack.report.text import (
    cost_lines,
    format_placement,
    gpu_numbers,
    headline,
    load_text,
    placement_legend,
    times,
)

if TYPE_CHECKING:
    from rich.console import Console

    from gpupack.records.placement import PlacedGpus, PlacementRecord

_MOST_GPUS = 40
"""Different GPUs drawn as bars; more are listed in the table only."""
_WIDTH = 80
_NAME_WIDTH = 21
_AMOUNT_WIDTH = 22


@dataclass(frozen=True, slots=True)
class _Glyphs:
    """What bars are drawn with."""

    blocks: str
    server: str
    free: str
    limit: str

    def block(self, index: int) -> str:
        return self.blocks[index % len(self.blocks)]


_UNICODE = _Glyphs(blocks="█▓▒░", server="▪", free="·", limit="│")
_ASCII = _Glyphs(blocks="#=+:", server="s", free=".", limit="|")


def print_placement(placement: PlacementRecord, console: Console) -> None:
    """Print a placement: bars and numbers in a terminal, a plain table elsewhere."""
    groups = placement.groups
    if not console.is_terminal or len(groups) > _MOST_GPUS:
        console.print(
            Text(format_placement(placement)), soft_wrap=True, highlight=False
        )
        return
    width = min(console.width, _WIDTH)
    for caution in cautions_of(placement):
        _print_warning(caution, console, width)
    console.print(Text(headline(placement), style="bold"), width=width)
    for group in groups:
        console.print()
        for line in _gpu_lines(placement, group, console, width):
            console.print(line, width=width, highlight=False)
    console.print()
    for text in [
        *placement_legend(placement, has_left=False),
        *cost_lines(placement),
    ]:
        console.print(Text(text, style="dim"), width=width, highlight=False)
    for warning in other_warnings(placement):
        _print_warning(warning, console, width)


def _print_warning(text: str, console: Console, width: int) -> None:
    line = Text.assemble(("warning: ", "bold yellow"), for_people(text))
    console.print(line, width=width)


def _gpu_lines(
    placement: PlacementRecord,
    group: PlacedGpus,
    console: Console,
    width: int,
) -> list[Text]:
    gpu = group[0]  # the others hold the same
    glyphs = _UNICODE if console.encoding.lower().startswith("utf") else _ASCII
    styles = style_by_model(name for one in placement.gpus.runs for name in one.models)
    colors = [styles[name].color for name in gpu.models]
    name = printable_name(type_text(placement, gpu.gpu_type.name))
    lines = [
        Text.assemble((f"GPU {gpu_numbers(group)}", "bold"), f"  {times(group)}{name}")
    ]
    for resource in shown_resources([placement]):
        bar = bar_of(gpu, resource)
        title = f"  {RESOURCE_NAMES[resource]:<{_NAME_WIDTH - 2}}"
        if bar is None:
            lines.append(Text(f"{title}not measured"))
            continue
        room = max(10, width - _NAME_WIDTH - _AMOUNT_WIDTH)
        scale = full_scale([placement], resource)
        drawn = _draw(bar, room / scale, room, glyphs, colors)
        lines.append(Text.assemble(title, drawn, " ", bar.text))
    for index, one in enumerate(gpu.assignments):
        lines.append(
            Text.assemble(
                "  ",
                (glyphs.block(index) * 2, colors[index]),
                f" {printable_name(one.model_name)} ({load_text(one)})",
            )
        )
    return lines


def _draw(
    bar: Bar, capacity_cells: float, room: int, glyphs: _Glyphs, colors: list[str]
) -> Text:
    """Return the bar in ``room`` cells, the capacity in ``capacity_cells`` of them."""
    cells = [(glyphs.free, "dim")] * room
    end = 0.0
    model_index = 0
    for segment in bar.segments:
        start, end = end, end + segment.amount / bar.capacity * capacity_cells
        if segment.model_name is None:
            cell = (glyphs.server, SERVER_COLOR)
        else:
            cell = (glyphs.block(model_index), colors[model_index])
            model_index += 1
        for place in range(round(start), min(round(end), room)):
            cells[place] = cell
    limit = bar.capacity if bar.limit is None else bar.limit
    place = round(limit / bar.capacity * capacity_cells)
    if place < room:
        cells[place] = (glyphs.limit, "bold")
    return Text.assemble(
        *(("".join(one for one, _ in run), style) for style, run in _runs(cells))
    )


def _runs(
    cells: list[tuple[str, str]],
) -> list[tuple[str, list[tuple[str, str]]]]:
    return [(style, list(run)) for style, run in groupby(cells, key=itemgetter(1))]
