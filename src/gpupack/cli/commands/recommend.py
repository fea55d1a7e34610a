"""``gpupack recommend``: what to buy, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpupack.cli.console import log_to_stderr, print_warning, results
from gpupack.cli.options.asked import (
    QuietOption,
    SourceArgument,
    VerboseOption,
    WishReader,
    read_source,
    takes_wish_options,
)
from gpupack.cli.options.named_values import parse_plain_share
from gpupack.cli.options.sources import Knowledge, takes_source_options
from gpupack.cli.outputs import is_standard_output, require_apart, write_output
from gpupack.cli.progress import steps_bar


@takes_source_options
@takes_wish_options
def recommend_command(
    source: SourceArgument,
    *,
    knowledge: Knowledge,
    wishes: WishReader,
    reserve: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Planned for above every demand: 0.2 or 20% for a fifth; 0.05 to 0.15 "
            "by what is known of the data if left out.",
        ),
    ] = None,
    json_path: Annotated[
        Path | None,
        typer.Option("--json", help="Write the recommendation as JSON; - prints it."),
    ] = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Say what to buy, in five lines, with what they rest on.

    Exit codes as those of place: 0 done, 2 bad input, 3 infeasible, 5 none found in
    time.
    """
    from gpupack.planning import recommend
    from gpupack.report.cautions import cautions_of, other_warnings

    if verbose:
        log_to_stderr()
    require_apart({"--json": json_path}, [source])
    profiles = read_source(source, knowledge)
    request, asked = wishes(profiles, None)
    with steps_bar(quiet=quiet) as progress:
        found = recommend(
            profiles,
            request,
            reserve=parse_plain_share("--reserve", reserve),
            progress=progress,
            **asked,
        )
    if json_path is not None:
        write_output(json_path, found.to_json() + "\n")
    is_text = not quiet and not is_standard_output(json_path)
    if is_text:
        results.print(found.to_text(for_shell=True), markup=False, soft_wrap=True)
    for caution in cautions_of(found.placement):
        print_warning(caution)
    if not is_text:
        for text in other_warnings(found.placement):
            print_warning(text)
