"""Have the compiled kernels ready without making a small problem wait for them.

The first call of a kernel on a machine compiles it, some ten seconds for all of
them; later processes load the machine code from numba's cache in under a second.
Either happens in a thread, so that other rungs can work in the meantime.
"""

from __future__ import annotations

import threading

_thread: threading.Thread | None = None
_lock = threading.Lock()
_ready = threading.Event()


def kernels_are_ready(*, wait_s: float) -> bool:
    """Return whether the kernels can run at once, after waiting at most ``wait_s``.

    The first call starts loading or compiling them in the background.
    """
    global _thread
    with _lock:
        if _thread is None:
            _thread = threading.Thread(
                target=_load_kernels, name="gpupack-kernels", daemon=True
            )
            _thread.start()
    return _ready.wait(timeout=wait_s)


def _load_kernels() -> None:
    """Run every kernel once, on a problem of three items."""
    import numpy as np

    from gpupack.packing.bin_completion import CompletionSearch
    from gpupack.packing.capacity import pricing, refilling
    from gpupack.packing.ejection import EjectionSearch
    from gpupack.packing.frugal_fillings import list_frugal
    from gpupack.packing.pricing import Pricer
    from gpupack.packing.problem import ItemType, PackingProblem
    from gpupack.packing.set_packing import SetPackingSearch
    from gpupack.packing.simplex import Master
    from gpupack.packing.solution import Bin

    problem = PackingProblem((4, 4), (ItemType((2, 1), 2), ItemType((1, 2))))
    ones = np.ones(2, dtype=np.int64)
    master = Master(problem.counts, ones, np.random.default_rng(0))
    master.add([((0, 1), (1, 1))])
    master.optimize()
    master.set_demand(ones)
    pricer = Pricer(problem.sizes, problem.capacities)
    duals = np.full(2, 0.5)
    pricer.price(duals, ones, node_limit=100)
    pricer.price_many(duals, ones, node_limit=100)
    pricer.enumerate_maximal(
        duals, ones, threshold=0.5, node_limit=100, max_patterns=10
    )
    bins = (Bin(((0, 2),)), Bin(((1, 1),)))
    EjectionSearch(problem, bins, seed=0).run(rounds=1)
    refilling.warm_up()
    pricing.warm_up()
    CompletionSearch(problem, seed=0).attempt(problem.counts, 2)
    list_frugal(problem, 2, max_patterns=10)
    SetPackingSearch.warm_up()
    _ready.set()
