"""Calls of compiled code that end at a deadline, and at once when interrupted.

A compiled search neither looks at the clock nor lets Ctrl-C through before it
returns. So it runs in a thread, without the interpreter's lock, and looks at a flag
that this thread raises; OR-Tools' solvers are told to stop likewise.
"""

from __future__ import annotations

import math
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from gpupack.packing.runtime.memory import (
    TooLittleMemoryError,
    fitting_threads,
    require_memory,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from ortools.linear_solver import pywraplp
    from ortools.sat.python import cp_model

    Result = TypeVar("Result")

_STOP_AGAIN_S = 0.02
_LOOK_S = 0.01
"""How often a thread that others may end looks whether it is to."""
_thread = threading.local()
MAX_LINEAR_S, LEAST_LINEAR_S = 1.0, 0.3
"""Of one try at a linear program, which usually takes some milliseconds."""

_LEAVE_CTRL_C = "misc/catchctrlc = FALSE\n"
"""What every program for SCIP is given: Ctrl-C is for ``solve_program`` to hear."""


def new_flag() -> NDArray[np.int8]:
    """Return a flag that is down: one number, not 0 once a search is to stop."""
    return np.zeros(1, dtype=np.int8)


@contextmanager
def ended_by(event: threading.Event) -> Iterator[None]:
    """Let an event end, as a deadline would, all calls that this thread makes."""
    _thread.event = event
    try:
        yield
    finally:
        del _thread.event


@contextmanager
def passing_interrupts_on() -> Iterator[None]:
    """Let Ctrl-C in this thread end whatever goes on, not one search of several.

    Searches that return what they have when interrupted raise it instead: who asks
    several questions would take that for an answer, and ask the next.
    """
    before = passes_interrupts_on()
    _thread.passes_on = True
    try:
        yield
    finally:
        _thread.passes_on = before


def passes_interrupts_on() -> bool:
    """Return whether this thread is within ``passing_interrupts_on``."""
    return getattr(_thread, "passes_on", False)


def call_until(
    deadline: float, function: Callable[..., Result], *args: object
) -> Result:
    """Return ``function(*args, flag)``; the flag goes up at the deadline.

    Args:
        deadline: On the clock of ``time.perf_counter``; infinite for none.
        function: Returns soon after the flag went up.
        *args: Its arguments before the flag.

    Raises:
        KeyboardInterrupt: If it comes meanwhile; the call has then ended.
    """
    flag = new_flag()
    left_s = deadline - time.perf_counter()

    def stop() -> None:
        flag[0] = 1

    return _run(
        lambda: function(*args, flag),
        stop,
        timeout_s=max(0.0, left_s) if left_s < threading.TIMEOUT_MAX else None,
    )


def call_all_until(
    deadline: float,
    functions: Sequence[Callable[[NDArray[np.int8]], Result]],
    *,
    num_workers: int,
) -> list[Result]:
    """Return what functions of one flag return, in their order, called side by side.

    Args:
        deadline: On the clock of ``time.perf_counter``; infinite for none.
        functions: Each returns soon after the flag went up, and keeps the interpreter's
            lock for moments only.
        num_workers: Threads at most.

    Raises:
        KeyboardInterrupt: If it comes meanwhile; the calls have then ended.
    """

    def call(flag: NDArray[np.int8]) -> list[Result]:
        if num_workers == 1 or len(functions) <= 1:
            return [function(flag) for function in functions]
        with ThreadPoolExecutor(num_workers, "gpupack-search") as pool:
            return list(pool.map(lambda function: function(flag), functions))

    return call_until(deadline, call)


def solve_cp_model(
    solver: cp_model.CpSolver, model: cp_model.CpModel
) -> cp_model.CpSolverStatus:
    """Return CP-SAT's status; its own limits end it, and Ctrl-C does.

    Left to itself, CP-SAT takes Ctrl-C for the end of this one solve, and leaves the
    process without Python's handler: the next Ctrl-C would end it without a word.

    Raises:
        KeyboardInterrupt: If it comes meanwhile; the solve has then ended.
        TooLittleMemoryError: If there is not enough for it.
    """
    require_memory()
    solver.parameters.catch_sigint_signal = False
    if solver.parameters.num_workers > 1:
        workers = fitting_threads(solver.parameters.num_workers)
        solver.parameters.num_workers = workers
    return _run(lambda: solver.solve(model), solver.stop_search)


def new_program() -> pywraplp.Solver:
    """Return an empty program for SCIP.

    Raises:
        TooLittleMemoryError: If there is not enough for it; SCIP would end the process.
    """
    require_memory()
    from ortools.linear_solver import pywraplp

    return pywraplp.Solver.CreateSolver("SCIP")


def solve_program(
    solver: pywraplp.Solver,
    parameters: pywraplp.MPSolverParameters | None = None,
    *,
    settings: str = "",
) -> int:
    """Return SCIP's status; its own limits end it, and Ctrl-C does.

    Args:
        solver: A program for SCIP.
        parameters: Of OR-Tools, for this solve.
        settings: Of SCIP, for this solve: lines of its own parameter files. OR-Tools
            makes SCIP anew once a program was changed, and then remembers the last
            text of settings alone: so all of them are given here, each time.

    Raises:
        KeyboardInterrupt: If it comes meanwhile; the solve has then ended.
    """
    solver.SetSolverSpecificParametersAsString(_LEAVE_CTRL_C + settings)
    given = () if parameters is None else (parameters,)
    return _run(lambda: int(solver.Solve(*given)), solver.InterruptSolve)


def solve_linear(
    solver: pywraplp.Solver, *, deadline: float = math.inf, grows: bool = False
) -> bool:
    """Return whether GLOP solved a linear program; values are there only if it did.

    GLOP's own scaling can make it lose its way, and it has been seen to go round for
    ever. It then tries without. To ask a program that is not solved for its values
    would make OR-Tools write to the terminal.

    Args:
        solver: A linear program for GLOP.
        deadline: On the clock of ``time.perf_counter``. The first try gets a moment
            even after it, for who needs the values of what there is; the others get
            what it left of that moment.
        grows: The program is solved again and again while it gets more columns. The
            primal simplex method then goes on from its last basis, which presolving
            and scaling would make it forget: a tenth of the time.
    """
    from ortools.linear_solver import pywraplp

    deadline = max(deadline, time.perf_counter() + LEAST_LINEAR_S)
    left_s = max(LEAST_LINEAR_S, min(MAX_LINEAR_S, deadline - time.perf_counter()))
    solver.SetTimeLimit(round(1000 * left_s))
    solved = {pywraplp.Solver.OPTIMAL, pywraplp.Solver.FEASIBLE}
    if grows:
        as_it_is = pywraplp.MPSolverParameters()
        as_it_is.SetIntegerParam(as_it_is.SCALING, as_it_is.SCALING_OFF)
        as_it_is.SetIntegerParam(as_it_is.PRESOLVE, as_it_is.PRESOLVE_OFF)
        as_it_is.SetIntegerParam(as_it_is.LP_ALGORITHM, as_it_is.PRIMAL)
        if solver.Solve(as_it_is) in solved:
            return True
        if time.perf_counter() >= deadline:
            return False
    if solver.Solve() in solved:
        return True
    if time.perf_counter() >= deadline:
        return False
    unscaled = pywraplp.MPSolverParameters()
    unscaled.SetIntegerParam(unscaled.SCALING, unscaled.SCALING_OFF)
    if solver.Solve(unscaled) in solved:
        return True
    if time.perf_counter() >= deadline:
        return False
    unscaled.SetIntegerParam(unscaled.PRESOLVE, unscaled.PRESOLVE_OFF)
    unscaled.SetIntegerParam(unscaled.LP_ALGORITHM, unscaled.PRIMAL)
    return solver.Solve(unscaled) in solved


def start(thread: threading.Thread) -> None:
    """Start a thread.

    Raises:
        TooLittleMemoryError: If there is no room for its stack.
    """
    try:
        thread.start()
    except RuntimeError as err:
        raise TooLittleMemoryError(f"{err}: out of memory; raise its limit") from err


def _run(
    function: Callable[[], Result],
    stop: Callable[[], object],
    *,
    timeout_s: float | None = None,
) -> Result:
    """Return what a function returns that another thread can tell to stop."""
    future: Future[Result] = Future()
    has_begun, is_over = threading.Event(), threading.Event()

    def run() -> None:
        has_begun.set()
        if is_over.is_set():  # interrupted while this thread was being started
            future.cancel()
            return
        try:
            future.set_result(function())
        except BaseException as err:
            future.set_exception(err)

    try:
        start(threading.Thread(target=run, daemon=True, name="gpupack-search"))
        _await(future, timeout_s)
    finally:
        # Not by Thread.join(): interrupted once, it takes the thread for ended
        # (CPython 3.11), and a thread inside a solver at the end of the process
        # aborts it.
        is_over.set()
        while has_begun.is_set() and not future.done():
            stop()  # again: a solver that is still being set up does not hear it
            wait([future], timeout=_STOP_AGAIN_S)
    return future.result()


def _await(future: Future[Result], timeout_s: float | None) -> None:
    """Wait until it is done, time is up, or this thread is to end (``ended_by``)."""
    event: threading.Event | None = getattr(_thread, "event", None)
    if event is None:
        wait([future], timeout=timeout_s)
        return
    ends = math.inf if timeout_s is None else time.perf_counter() + timeout_s
    while not (event.is_set() or future.done() or time.perf_counter() >= ends):
        wait([future], timeout=min(_LOOK_S, max(0.0, ends - time.perf_counter())))
