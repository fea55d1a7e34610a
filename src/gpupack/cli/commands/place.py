"""``gpupack place`` and ``gpupack init``: decide, and what to ask for in a file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpupack.cli.console import errors, log_to_stderr, print_warning, results
from gpupack.cli.options.asked import (
    QuietOption,
    SourceArgument,
    VerboseOption,
    WishReader,
    completed_by,
    read_source,
    takes_wish_options,
)
from gpupack.cli.options.sources import Knowledge, takes_source_options
from gpupack.cli.outputs import (
    STANDARD_OUTPUT,
    is_standard_output,
    require_apart,
    write_output,
)
from gpupack.records.placement import Objective, ObjectiveUnit, PlacementStatus

if TYPE_CHECKING:
    from gpupack.placement import Placement


@takes_source_options
@takes_wish_options
def place_command(
    source: SourceArgument,
    *,
    knowledge: Knowledge,
    objective: Annotated[
        str | None,
        typer.Option(
            help="min_gpus (default), min_cost or max_throughput.",
            autocompletion=completed_by(Objective),
        ),
    ] = None,
    wishes: WishReader,
    json_path: Annotated[
        Path | None,
        typer.Option("--json", help="Write the placement as JSON; - prints it."),
    ] = None,
    markdown_path: Annotated[
        Path | None,
        typer.Option("--markdown", help="Write the table as Markdown; - prints it."),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Say what binds, why, and what would help."),
    ] = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Decide which model goes on which GPU, and prove it.

    Exit codes: 0 proved (or feasible, with a warning), 2 bad input, 3 infeasible,
    5 none found within the time limit, and none proved impossible.
    """
    from gpupack.planning import place
    from gpupack.report.cautions import cautions_of, other_warnings
    from gpupack.report.terminal import print_placement
    from gpupack.store import write_placement

    if verbose:
        log_to_stderr()
    is_piped = is_standard_output(json_path) or is_standard_output(markdown_path)
    require_apart({"--json": json_path, "--markdown": markdown_path}, [source])
    profiles = read_source(source, knowledge)
    request, asked = wishes(profiles, objective)
    placement = place(profiles, objective, request=request, **asked)
    if is_standard_output(json_path):
        write_output(STANDARD_OUTPUT, placement.to_json() + "\n")
    elif json_path is not None:
        write_placement(placement, json_path)
    if markdown_path is not None:
        write_output(markdown_path, placement.to_markdown())
    if not quiet and not is_piped:
        print_placement(placement, results)
    if explain:
        (errors if is_piped else results).print(
            str(placement.explain()), markup=False, soft_wrap=True
        )
    if quiet or is_piped or not results.is_terminal:
        # In a terminal it stands above the table already.
        for caution in cautions_of(placement):
            print_warning(caution)
    if quiet or is_piped:
        # Below the table, where there is one: they are about how far it can be trusted.
        for text in other_warnings(placement):
            print_warning(text)
    if placement.status is PlacementStatus.FEASIBLE:
        found = _found_and_bound(placement)
        time_limit = placement.request.time_limit_s if placement.request else 0.0
        if placement.seconds < 0.9 * time_limit:  # interrupted, or out of ideas
            print_warning(f"not proved when it ended: {found}")
        else:
            print_warning(
                f"not proved within {time_limit:g} s: {found}; raise --time-limit"
            )


def _found_and_bound(placement: Placement) -> str:
    from gpupack.report.text import format_price

    unit = placement.objective_unit
    value, bound = placement.objective_value, placement.bound
    if unit is ObjectiveUnit.GPUS:
        return f"{placement.num_gpus} GPUs found, at least {bound:g} needed"
    if unit is ObjectiveUnit.PRICE_PER_HOUR:
        return (
            f"{format_price(value)} per hour found, at least {format_price(bound)} "
            "needed"
        )
    if unit is ObjectiveUnit.SERVED_SHARE:
        return f"{value:.1%} of every demand found, at most {bound:.1%} possible"
    return f"{value:,.1f} infer/sec found, at most {bound:,.1f} possible"


@takes_source_options
def init_command(
    path: Annotated[
        Path, typer.Argument(help="The request to write, .yaml or .yml; - prints it.")
    ],
    *,
    source: Annotated[
        str, typer.Option("--from", help="What to plan for, as gpupack place takes it.")
    ],
    knowledge: Knowledge,
    force: Annotated[
        bool, typer.Option("--force", help="Write over a file that is there.")
    ] = False,
) -> None:
    """Write a commented request with every model, to be filled in.

    Exit codes: 0 written, 2 bad input.
    """
    from gpupack.errors import InvalidInputError
    from gpupack.planning import wishes_beside
    from gpupack.quoting import quoted
    from gpupack.request_template import request_template

    if not is_standard_output(path):
        if path.suffix.lower() not in (".yaml", ".yml"):
            raise InvalidInputError(
                f"{quoted(str(path))}: comments need YAML; end the name in .yaml"
            )
        if path.exists() and not force:
            raise InvalidInputError(
                f"{quoted(str(path))} is there already; name another file, or write "
                "over it with --force"
            )
    require_apart({"PATH": path}, [source])
    profiles = read_source(source, knowledge)
    asked = wishes_beside(
        source,
        columns=knowledge["columns"],
        model_name=knowledge["model_name"],
        batch_size=knowledge["batch_size"],
        units=knowledge["units"],
    )
    write_output(path, request_template(profiles, asked))
    if not is_standard_output(path):
        typer.echo(
            f"Written to {path}; fill it in, then: "
            f"{shlex.join(['gpupack', 'place', source, '--request', str(path)])}"
        )
