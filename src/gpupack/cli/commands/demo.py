"""``gpupack demo``: the main job on the built-in example."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpupack.quoting import quoted


def demo_command(
    *,
    output: Annotated[
        Path, typer.Option(help="Folder for the placements; made if absent.")
    ] = Path("demo-output"),
    live: Annotated[
        bool, typer.Option(help="Profile three shipped models on a real Triton too.")
    ] = True,
) -> None:
    """Place the nine published medical models, both ways, and three measured live."""
    from gpupack.cli.commands.live_demo import run_live_demo
    from gpupack.errors import StoreError
    from gpupack.examples import load_example
    from gpupack.planning import place
    from gpupack.store import write_placement

    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise StoreError(
            f"cannot make folder {quoted(str(output))}: {err.strerror}"
        ) from err
    medical = load_example("medical")
    typer.echo(
        "Nine medical imaging models, measured alone on a 16-GB GPU (published):\n"
    )
    typer.echo(str(medical))
    written = []
    for title, rule, objective, file_name in (
        (
            "Case study 1: the least hardware",
            "The article's rule: memory alone binds, the models are seldom busy at "
            "once.",
            "min_gpus",
            "four_gpus.json",
        ),
        (
            "Case study 2: utilizations of at most 100 %",
            "The article's rule: on no GPU do utilizations sum to more than 100 %.\n"
            'gpupack\'s prediction beside it: what each model "keeps" of its '
            "throughput alone\nwhen all run at once.",
            "max_throughput",
            "six_gpus.json",
        ),
    ):
        placement = place(medical, objective)
        typer.echo(f"\n{title}\n{'=' * len(title)}\n{rule}\n\n{placement}")
        path = output / file_name
        write_placement(placement, path)
        written.append(path)
    live_path = run_live_demo(output) if live else None
    if live_path is not None:
        written.append(live_path)
    typer.echo(f"\nPlacements written to {', '.join(str(path) for path in written)}")
