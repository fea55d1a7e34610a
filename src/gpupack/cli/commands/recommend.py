"""``gpupack recommend``: what to buy, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpupack.cli.console import print_warning, results
from gpupack.cli.options.asked import (
    SourceArgument,
    WishReader,
    read_source,
    takes_wish_options,
)
from gpupack.cli.options.sources import Knowledge, takes_source_options
from gpupack.cli.outputs import require_apart


@takes_wish_options
@takes_source_options
def recommend_command(
    source: SourceArgument,
    *,
    knowledge: Knowledge,
    wishes: WishReader,
    reserve: Annotated[
        float | None,
        typer.Option(
            help="Planned for above every demand: 0.2 for a fifth; 0.05 to 0.15 by "
            "what is known of the data if left out."
        ),
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write the recommendation as JSON.")
    ] = None,
) -> None:
    """Say what to buy, in five lines, with what they rest on.

    Exit codes as those of place: 0 done, 2 bad input, 3 infeasible, 5 none found in
    time.
    """
    from gpupack.files import write_text
    from gpupack.planning import recommend
    from gpupack.report.cautions import cautions_of

    require_apart({"--json": json_path}, [source])
    profiles = read_source(source, knowledge)
    request, asked = wishes(profiles, None)
    found = recommend(profiles, request, reserve=reserve, **asked)
    if json_path is not None:
        write_text(json_path, found.to_json())
    results.print(found.to_text(for_shell=True), markup=False, soft_wrap=True)
    for caution in cautions_of(found.placement):
        print_warning(caution)
