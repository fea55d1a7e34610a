from .deadline import (
    Clock,
    Deadline,
    OutOfTimeError,
)
from .memory import NO_MEMORY, TooLittleMemoryError, fitting_threads
from .round_robin import simulate_round_robin
from .stoppable import (
    call_all_until,
    call_until,
    ended_by,
    new_flag,
    new_program,
    passes_interrupts_on,
    passing_interrupts_on,
    solve_cp_model,
    solve_linear,
    solve_program,
    start,
)
from .thresholds import most_true
from .warm_up import (
    build_kernels,
    kernels_are_coming,
    kernels_are_ready,
    load_solvers,
    weaknesses,
)

__all__ = [
    "NO_MEMORY",
    "Clock",
    "Deadline",
    "OutOfTimeError",
    "TooLittleMemoryError",
    "build_kernels",
    "call_all_until",
    "call_until",
    "ended_by",
    "fitting_threads",
    "kernels_are_coming",
    "kernels_are_ready",
    "load_solvers",
    "most_true",
    "new_flag",
    "new_program",
    "passes_interrupts_on",
    "passing_interrupts_on",
    "simulate_round_robin",
    "solve_cp_model",
    "solve_linear",
    "solve_program",
    "start",
    "weaknesses",
]
