"""``DEPLOYMENT.md``: what was written, what it does not say, how to apply and check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.deploying.plan import MARK
from gpupack.deploying.targets import How, needs_of
from gpupack.report.markdown import markdown_text
from gpupack.units import mib_from_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpupack.deploying.options import DeployOptions
    from gpupack.deploying.plan import DeploymentPlan, HostNeeds
    from gpupack.deploying.targets import Target, TargetFiles

_MANY = 200
"""More files of one kind than this are counted, not listed; so are equal GPUs."""


def deployment_page(
    plan: DeploymentPlan,
    target: Target,
    options: DeployOptions,
    made: TargetFiles,
    notes: Sequence[str],
) -> str:
    """Return the page that lies beside what was written, as Markdown."""
    table = target.expressions(options)
    return "\n".join(
        [
            f"<!-- {MARK.removeprefix('# ')} -->",
            f"# {markdown_text(options.name)} for {target.name}",
            "",
            f"gpupack wrote {target.purpose}. It started nothing.",
            "",
            "## What runs",
            "",
            *_gpu_table(plan),
            "",
            "## How to apply",
            "",
            *_code(made.apply),
            "",
            "## How to check",
            "",
            *_code(made.check),
            "",
            "`gpupack status` ends with 4 where what runs is not what was planned.",
            "",
            "## What could not be expressed, or was changed",
            "",
            *(_listed(notes) or ["Nothing: the files say all of the placement."]),
            "",
            "## How the rest is expressed",
            "",
            *_listed(
                f"{need.value}: {table[need].words}"
                for need in needs_of(plan)
                if table[need].how is How.EXACT
            ),
            "",
            "## Files",
            "",
            *_files(made),
            "",
            "These are replaced when gpupack deploy writes here again, so keep changes "
            "elsewhere.",
            "",
        ]
    )


def _gpu_table(plan: DeploymentPlan) -> list[str]:
    """Return a line per server; of very many GPUs, one for those that are equal."""
    groups = plan.groups
    if len(plan.gpus) <= _MANY:
        groups = tuple((gpu,) for gpu in plan.gpus)
    lines = [
        "| GPU | type | server | models | memory planned, MiB | asked of the host |",
        "|---|---|---|---|---|---|",
    ]
    for gpu, *others in groups:
        number = f"{gpu.index} and {len(others):,} more" if others else str(gpu.index)
        for server in gpu.servers:
            is_first = server is gpu.servers[0]
            models = ", ".join(
                markdown_text(one.name)
                + (" (called by others)" if one.is_helper else "")
                for one in server.models
            )
            memory = f"{mib_from_bytes(gpu.memory_bytes):,.0f}" if is_first else ""
            head = (
                f"{number} | {markdown_text(gpu.gpu_type.name)}" if is_first else " | "
            )
            of_host = _of_host(server.host_needs)
            lines.append(
                f"| {head} | {server.name} | {models} | {memory} | {of_host} |"
            )
    return lines


def _of_host(needs: HostNeeds) -> str:
    parts = []
    if needs.cpu_millicores is not None:
        parts.append(f"{needs.cpu_millicores / 1000:,.2f} cores")
    if needs.memory_mib is not None:
        parts.append(f"{needs.memory_mib:,} MiB")
    return ", ".join(parts) or "not measured"


def _code(lines: Sequence[str]) -> list[str]:
    return ["```sh", *lines, "```"] if lines else ["Nothing is to be done."]


def _listed(texts: Iterable[str]) -> list[str]:
    return [f"- {markdown_text(text)}" for text in texts]


def _files(made: TargetFiles) -> list[str]:
    files = made.files
    lines = [f"- {markdown_text(path)}" for path in sorted(files.texts)]
    if len(lines) > _MANY:
        lines = [*lines[:_MANY], f"- and {len(lines) - _MANY:,} more"]
    if files.links:
        lines.append(f"- {len(files.links):,} links to the models themselves")
    if files.in_repository:
        lines.append(
            f"- {len(files.in_repository):,} configurations in the model repository"
        )
    return lines
