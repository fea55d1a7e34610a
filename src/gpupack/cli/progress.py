"""Progress bars for what takes longer than a second, on standard error."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gpupack.cli.console import errors
from gpupack.records.profile import FailedLoadPoint, ProfileRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress, ProgressColumn, TaskID

    from gpupack.records.running.verification import GpuVerification

_SPEED_PERIOD_S = 120.0
"""The time left is estimated from the load points of the last two minutes."""


class ProgressBar:
    """One bar for the installation of the server and the measuring that follows."""

    def __init__(self, progress: Progress, notice: str | None = None) -> None:
        self._progress = progress
        self._notice = notice
        self._task: TaskID | None = None
        self._install_task: TaskID | None = None

    def install(self, step: int, num_steps: int, text: str) -> None:
        """Show an installation's step."""
        if self._install_task is None:
            self._install_task = self._progress.add_task("server", total=num_steps)
        self._progress.update(
            self._install_task, completed=step, description=f"server: {text}"
        )

    def begin(self, num_points: int, num_finished: int) -> None:
        """See ``SweepProgress``; the notice is told once, above the bar."""
        if self._notice is not None:
            self._progress.console.print(self._notice, markup=False)
            self._notice = None
        if self._task is not None:  # a further GPU type of a cluster
            self._progress.update(self._task, total=num_points, completed=num_finished)
            return
        self._task = self._progress.add_task(
            "starting", total=num_points, completed=num_finished
        )

    def working(self, text: str) -> None:
        """See ``SweepProgress``."""
        if self._task is not None:
            self._progress.update(self._task, description=text)

    def finished(self, outcome: ProfileRecord | FailedLoadPoint) -> None:
        """See ``SweepProgress``."""
        if self._task is not None:
            self._progress.advance(self._task)
        self._progress.console.print(describe(outcome), markup=False)

    def verified(self, result: GpuVerification) -> None:
        """Show that one GPU of a placement was run."""
        if self._task is not None:
            self._progress.advance(self._task)
        self._progress.console.print(describe_verified(result), markup=False)


def describe(outcome: ProfileRecord | FailedLoadPoint) -> str:
    """Return one line on a load point that is done; the end says why some failed."""
    where = f"{outcome.model_name} {outcome.load_point}"
    if isinstance(outcome, FailedLoadPoint):
        return f"{where}: failed ({outcome.stage})"
    if outcome.throughput_infer_per_sec is None:
        return f"{where}: no throughput"
    width = (
        f" ±{100 * outcome.throughput_ci_ratio:.1f} %"
        if outcome.throughput_ci_ratio is not None
        else ""
    )
    loads = f" in {outcome.num_loads} loads" if outcome.num_loads > 1 else ""
    unstable = "" if outcome.is_stable else ", not stable"
    limited = ", limited by the client" if outcome.is_client_limited else ""
    return (
        f"{where}: {outcome.throughput_infer_per_sec:.1f} infer/s{width}"
        f"{loads}{unstable}{limited}"
    )


def describe_verified(result: GpuVerification) -> str:
    """Return one line on a GPU that was run."""
    open_models = [one for one in result.models if one.not_judged is not None]
    if result.broken:
        verdict = f"{len(result.broken)} broken"
    elif open_models:
        verdict = f"{len(open_models)} not known"
    else:
        verdict = "every promise kept"
    names = ", ".join(one.model_name for one in result.models)
    return f"GPU {result.gpu_index} ({names}): {verdict}"


@contextmanager
def progress_bar(
    *, quiet: bool, notice: str | None = None
) -> Iterator[ProgressBar | None]:
    """Yield a bar on standard error; None when quiet.

    Args:
        quiet: Whether to show nothing.
        notice: Told when measuring begins.
    """
    if quiet:
        yield None
        return
    from rich.progress import TextColumn, TimeRemainingColumn

    with _counted_steps(
        TextColumn("left"), TimeRemainingColumn(), speed_estimate_period=_SPEED_PERIOD_S
    ) as progress:
        yield ProgressBar(progress, notice)


@contextmanager
def steps_bar(*, quiet: bool) -> Iterator[Callable[[int, int, str], None] | None]:
    """Yield what shows the steps of an answer on standard error; None when quiet.

    Where that is no terminal, nothing is shown.
    """
    if quiet:
        yield None
        return
    with _counted_steps(disable=not errors.is_terminal) as progress:
        task = progress.add_task("starting", total=None)

        def show(done: int, total: int, text: str) -> None:
            progress.update(task, completed=done, total=total or None, description=text)

        yield show


def _counted_steps(*further: ProgressColumn, **options: Any) -> Progress:
    """Return a bar on standard error, gone at the end: so many steps of so many.

    Args:
        further: Columns behind the time that it took so far.
        options: Of rich's ``Progress``.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        *further,
        console=errors,
        transient=True,
        **options,
    )
