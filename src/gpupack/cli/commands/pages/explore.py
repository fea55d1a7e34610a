"""``gpupack explore``: ask "what if" in a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpupack.cli.options.asked import RequestOption, SourceArgument
from gpupack.cli.options.sources import Knowledge, takes_source_options


@takes_source_options
def explore_command(
    source: SourceArgument,
    *,
    request: RequestOption = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="Where to listen; the first that is free from 8734 if left out, 0 for "
            "any.",
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="Keep the secret part of the address in a file, so that open pages "
            "find the server again after it was started anew."
        ),
    ] = None,
    read_only: Annotated[
        bool,
        typer.Option(
            "--read-only", help="Show, and let nothing be changed: for a projector."
        ),
    ] = False,
    browser: Annotated[
        bool,
        typer.Option("--browser/--no-browser", help="Open the page in a browser."),
    ] = True,
    knowledge: Knowledge,
) -> None:
    """Ask "what if" in a page that this machine serves to itself.

    Exit codes: 0 ended by Ctrl-C, 2 bad input.
    """
    from gpupack.explore import ExploreOptions, explore
    from gpupack.planning import wishes_beside
    from gpupack.request_file import read_request

    asked = None
    if request is not None:
        asked = wishes_beside(request) or read_request(request)
    explore(
        source,
        asked,
        knowledge=knowledge,
        options=ExploreOptions(
            port=port,
            token_file=token_file,
            is_read_only=read_only,
            opens_browser=browser,
        ),
        say=typer.echo,
    )
