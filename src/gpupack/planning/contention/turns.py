"""What models that take turns on the GPU keep in closed loops: by a simulation.

The network's formulas take a request as a burst: the host works, then the GPU, and the
host waits for it. Frameworks that launch kernels one by one do otherwise: the host runs
ahead of the GPU, whose work comes in pieces meanwhile, and waits for it at the end of a
request, or a few times. So a neighbor's slice costs such a model little, and costs more
who has it for a neighbor: the GPU goes to and fro. A profile that was measured with the
probe tells (``TurnReadings``):

* how long a model keeps the GPU when it is its turn: a fraction of a slice, where it
  launches ahead;
* what a request takes longer beside a process that always has work: a slice of that for
  each of its own, or half a slice for each time that the host waits.

Then the turns are gone through event by event (``packing.simulate_round_robin``). Rules
of the planner stay with the formulas, which only get worse with every model added.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gpupack import packing  # its names load when used: small plans need no kernel
from gpupack.planning.contention.latency_prediction import NUM_LEVELS, service_times
from gpupack.records.gpu import DeviceKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gpupack.planning.contention.delays import CustomerClass
    from gpupack.records.profile import ProfileRecord, TurnReadings

SLICE_S = 0.0021
SWITCH_S = 0.00013
"""Between the values that fit closed loops (0.1 to 0.15 ms) on recorded H200s."""
AHEAD_SHARE = 0.5
"""A model whose turns are shorter than this share of its work, or of a slice, hands it
over in pieces."""
NEAR_SHARE = 0.1
"""Of a slice: GPU time is not known better."""
MAX_PIECES = 50
"""More of them make no difference."""
MAX_WAITS = 8
NUM_CYCLES = 400
"""Simulated of the slowest model."""
SIMULATED_EVENTS = 400_000
"""Pieces of work simulated of all models on a GPU together, about, at most: some ten
milliseconds."""
MAX_MODELS = 32
KERNELS_S = 10.0
"""Waited at most for kernels that are being built, where gpupack runs from sources."""


@dataclass(frozen=True, slots=True)
class Turns:
    """How a model's requests use the GPU where processes take turns.

    Args:
        is_ahead: Whether the host launches ahead of the GPU.
        turn_s: How long the model keeps the GPU at most, when it is its turn.
        num_waits: How many times in a request the host waits for the GPU, ≥ 1.
        most_gpu_s: GPU time of a request, at most: as many whole slices as it takes.
    """

    is_ahead: bool
    turn_s: float
    num_waits: int
    most_gpu_s: float = math.inf

    def num_pieces(self, gpu_s: float) -> int:
        """Return how many pieces the GPU work before each wait comes in."""
        if not self.is_ahead:
            return 1
        each_s = gpu_s / self.num_waits
        return max(2, min(MAX_PIECES, math.ceil(each_s / max(self.turn_s, 1e-9))))


def turns_of(
    readings: TurnReadings, batch_size: int, gpu_s: float, elsewhere_s: float
) -> Turns:
    """Return what the probe's readings say of a request.

    Args:
        readings: Beside the model.
        batch_size: Inputs per request.
        gpu_s: GPU time of a request.
        elsewhere_s: Its other time.
    """
    longest_s = 1e-6 * (readings.kernel_high_us - readings.kernel_alone_us) - SWITCH_S
    turn_s = max(0.0, longest_s)
    delay_s = batch_size / readings.throughput_infer_per_sec
    delay_s -= batch_size / readings.throughput_alone_infer_per_sec
    once_s = SLICE_S / 2 + SWITCH_S
    if turn_s < AHEAD_SHARE * min(gpu_s, SLICE_S):
        num_waits = round(delay_s / once_s)
        return Turns(True, turn_s, max(1, min(MAX_WAITS, num_waits)))
    first_s = max(SLICE_S + SWITCH_S - 0.7 * elsewhere_s, once_s)
    more_s = SLICE_S + 2 * SWITCH_S
    num_slices = max(1, math.ceil(gpu_s / SLICE_S))
    if num_slices > 1 and gpu_s < (num_slices - 1 + NEAR_SHARE) * SLICE_S:
        # Too near a whole number to tell by the GPU time: the delay does.
        num_slices -= delay_s < first_s + (num_slices - 1.5) * more_s
    expected_s = first_s + (num_slices - 1) * more_s
    num_more = round((delay_s - expected_s) / once_s)
    num_waits = max(1, min(MAX_WAITS, 1 + num_more))
    return Turns(False, turn_s, num_waits, num_slices * SLICE_S)


def turns_of_record(record: ProfileRecord, one: CustomerClass) -> Turns | None:
    """Return the same of a record; None where the probe was not run."""
    if record.turns is None:
        return None
    return turns_of(
        record.turns, record.load_point.batch_size, one.gpu_demand_s, one.elsewhere_s
    )


@dataclass(frozen=True, slots=True)
class TurnTaker:
    """What a request of a model does in a closed loop.

    Args:
        host_s: Equally likely times on the host, of shape (NUM_LEVELS,).
        gpu_s: Time at the GPU.
        num_waits: Blocks of both.
        num_pieces: That the GPU work of a block comes in.
    """

    host_s: NDArray[np.float64]
    gpu_s: float
    num_waits: int
    num_pieces: int

    @property
    def rank(self) -> tuple[float, ...]:
        """A key to put models in one order, whichever order they come in."""
        return (self.alone_s, self.gpu_s, self.num_waits, self.num_pieces)

    @property
    def alone_s(self) -> float:
        """How long a request takes alone, on average."""
        return float(self.host_s.mean()) + self.gpu_s / self.num_pieces


def turn_taker(record: ProfileRecord, one: CustomerClass) -> TurnTaker | None:
    """Return what a record says of a model in turns; None where it says too little."""
    service = service_times(record)
    turns = turns_of_record(record, one)
    if (
        service is None
        or turns is None
        or one.num_customers > 1
        or record.gpu_type.kind is not DeviceKind.GPU
    ):
        return None
    gpu_s = min(one.gpu_demand_s, turns.most_gpu_s)
    num_pieces = turns.num_pieces(gpu_s)
    cycles_s = service.levels_s + service.overhead_s
    cycles_s = cycles_s * (one.gpu_demand_s + one.elsewhere_s) / cycles_s.mean()
    host_s = np.maximum(cycles_s - gpu_s / num_pieces, 0.0)
    return TurnTaker(host_s, gpu_s, turns.num_waits, num_pieces)


def simulate_retentions(
    models: Sequence[TurnTaker],
    copies: Sequence[int],
    *,
    num_events: int = SIMULATED_EVENTS,
) -> list[float] | None:
    """Return what an instance of each model keeps beside the others, 0–1.

    Args:
        models: What a request of each does.
        copies: Equal instances of each.
        num_events: Simulated of all together, about, at most.

    Returns:
        Throughput ÷ throughput alone; None where there are too many models, or the
        compiled kernels cannot be had here.
    """
    places = [place for place, number in enumerate(copies) for _ in range(number)]
    if len(places) > MAX_MODELS or not packing.kernels_are_ready(wait_s=KERNELS_S):
        return None
    alone_s = [one.alone_s for one in models]
    events_per_s = sum(
        models[place].num_waits * models[place].num_pieces / alone_s[place]
        for place in places
    )
    horizon_s = min(NUM_CYCLES * max(alone_s), num_events / events_per_s)
    before = []
    for number, place in enumerate(places):
        chance = np.random.default_rng([number, NUM_CYCLES])
        # Every level equally often, so that the mean is what was measured; as many as
        # could be done alone.
        num_jobs = math.ceil(horizon_s / alone_s[place] / NUM_LEVELS + 1.5)
        levels = [chance.permutation(models[place].host_s) for _ in range(num_jobs)]
        before.append(np.concatenate(levels))
    found = packing.simulate_round_robin(
        [None] * len(places),
        before,
        [models[place].gpu_s for place in places],
        [0.0] * len(places),
        slice_length=SLICE_S,
        switching=SWITCH_S,
        horizon=horizon_s,
        num_blocks=[models[place].num_waits for place in places],
        num_pieces=[models[place].num_pieces for place in places],
    )[0]
    kept = []
    for place in range(len(models)):
        number = places.index(place)
        done = int(np.isfinite(found[number]).sum())
        alone = float(before[number][:done].sum()) + done * (
            models[place].gpu_s / models[place].num_pieces
        )
        kept.append(min(1.0, alone / horizon_s))
    return kept
