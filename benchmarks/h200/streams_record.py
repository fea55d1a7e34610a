"""Record what models of one process keep beside each other, each on its own stream.

    python -m benchmarks.h200.streams_record OUT

The networks of the zoo, captured as CUDA graphs, all in this one process, as backends
that run inside the server and models with several instances in one process do: a thread
and a stream for each, which replays its graph as fast as it comes back (a closed loop).
Every model alone, then sets of two to six with a model alone again now and then, then
models with two and three instances. OUT gets ``colocation_streams.jsonl``, rows as
``gpupack verify`` writes them, for ``python benchmarks/colocation.py --report``.
``--cpu`` tries it on a machine without a GPU, with matrices for networks.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
import types
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gpupack
from benchmarks.h200.zoo import MORE, ZOO, ZooModel
from gpupack.profiling import open_device
from gpupack.records.colocation import CoLocatedModel, CoLocation
from gpupack.records.environment import Environment, SharingMode
from gpupack.records.profile import LoadPoint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpupack.profiling import Device

    Run = Callable[[], None]

BATCHES = {1: 1, 3: 8, 4: 1}
"""The heavy load point, by the number of dimensions of an input; the light one is 1."""
REPEATED = frozenset({14, 23, 30, 37, 44, 51})
"""Turns in which a set is measured again."""
FILE_NAME = "colocation_streams.jsonl"


def networks_of_zoo(
    zoo: Sequence[ZooModel],
) -> list[tuple[str, int, Callable[[], Run]]]:
    """Return name, batch size and what makes an instance that runs one request."""
    here = str(Path(__file__).parent)
    sys.path.insert(0, here)
    # What the file imports inside a server; nothing of it is used here.
    sys.modules.setdefault(
        "triton_python_backend_utils", types.ModuleType("triton_python_backend_utils")
    )
    import json

    import served_model
    import torch

    found: list[tuple[str, int, Callable[[], Run]]] = []
    for model in zoo:
        sizes = sorted({1, BATCHES[len(model.input_dims)]} & set(model.batch_sizes))
        for batch_size in sizes:

            def make(model: ZooModel = model, batch_size: int = batch_size) -> Run:
                served = served_model.TritonPythonModel()
                served.initialize(
                    {
                        "model_config": json.dumps(
                            {
                                "parameters": {
                                    name: {"string_value": getattr(model, name)}
                                    for name in ("architecture", "precision", "output")
                                },
                                "input": [{"dims": list(model.input_dims)}],
                            }
                        ),
                        "model_instance_kind": "GPU",
                        "model_instance_device_id": "0",
                    }
                )
                kind = {1: torch.int32, 3: torch.uint8, 4: torch.float16}
                inputs = torch.ones(
                    (batch_size, *model.input_dims), dtype=kind[len(model.input_dims)]
                )
                served.infer(inputs)  # captures it
                return lambda: served.infer(inputs)

            found.append((model.name, batch_size, make))
    return found


def matrices() -> list[tuple[str, int, Callable[[], Run]]]:
    """Return stand-ins for a trial without a GPU."""
    import numpy as np

    def make(size: int) -> Run:
        matrix = np.ones((size, size))
        return lambda: (matrix @ matrix, None)[1]

    return [
        (f"matrix_{size}", 1, lambda size=size: make(size)) for size in (200, 300, 400)
    ]


def drive(runs: Sequence[Run], seconds: float, sampler: Any) -> list[list[float]]:
    """Run instances in a thread each; return when their requests ended, in seconds."""
    begin = threading.Barrier(len(runs) + 1)
    stop = threading.Event()
    ends: list[list[float]] = [[] for _ in runs]

    def loop(run: Run, own: list[float]) -> None:
        begin.wait()
        while not stop.is_set():
            run()
            own.append(time.monotonic())

    threads = [
        threading.Thread(target=loop, args=pair, daemon=True)
        for pair in zip(runs, ends, strict=True)
    ]
    for thread in threads:
        thread.start()
    begin.wait()
    time.sleep(0.3)
    sampler.reset()
    start_s = time.monotonic()
    time.sleep(seconds)
    end_s = time.monotonic()
    stop.set()
    for thread in threads:
        thread.join()
    return [[one - start_s for one in own if start_s <= one < end_s] for own in ends]


class StreamsRecorder:
    """Measures sets of instances in this process and appends a row for each."""

    def __init__(self, device: Device, path: Path) -> None:
        self._device = device
        self._path = path
        self._started_s = time.monotonic()

    def say(self, text: str) -> None:
        """Print one line with the time."""
        print(f"{time.monotonic() - self._started_s:6.1f} s  {text}", flush=True)

    def run(
        self,
        label: str,
        members: Sequence[tuple[str, int, Sequence[Run]]],
        seconds: float,
    ) -> None:
        """Measure models, each with its instances, and write what they reached."""
        runs = [run for _, _, of_model in members for run in of_model]
        with self._device.sampler() as sampler:
            ends = iter(drive(runs, seconds, sampler))
            readings = sampler.readings()
        models = []
        for name, batch_size, of_model in members:
            for _ in of_model:
                number = len(next(ends))
                models.append(
                    CoLocatedModel(
                        model_name=name,
                        load_point=LoadPoint(batch_size=batch_size, concurrency=1),
                        throughput_infer_per_sec=number * batch_size / seconds or None,
                        is_stable=True,
                        is_client_limited=False,
                    )
                )
        names = CoLocation.readings()
        values = {
            name: getattr(
                readings,
                "memory_used_bytes" if name == "gpu_memory_used_bytes" else name,
                None,
            )
            for name in names
        }
        row = CoLocation.with_reason(
            "not read",
            label=label,
            models=tuple(models),
            duration_s=seconds,
            gpu_type=self._device.gpu_type,
            environment=Environment.model_validate(
                {
                    "source": "benchmarks.h200.streams_record",
                    "measured_at": datetime.now(UTC),
                    "gpupack_version": gpupack.__version__,
                }
                | self._device.environment_fields()
                | {"sharing_mode": SharingMode.STREAMS}
            ),
            **values,
        )
        with self._path.open("a", encoding="utf-8") as file:
            file.write(row.model_dump_json(exclude_none=True) + "\n")


def record(arguments: argparse.Namespace) -> None:
    """Measure everything once and write it down."""
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    path = out / FILE_NAME
    path.unlink(missing_ok=True)
    import os

    device = open_device("host" if arguments.cpu else None, server_pid=os.getpid())
    recorder = StreamsRecorder(device, path)
    deadline_s = time.monotonic() + arguments.budget_s
    known = matrices() if arguments.cpu else networks_of_zoo((*ZOO, *MORE))
    made: list[tuple[str, int, Run]] = []
    for name, batch_size, make in known:
        try:
            made.append((name, batch_size, make()))
        except Exception as err:
            recorder.say(f"{name} at {batch_size} is left out: {str(err)[-300:]}")
    recorder.say(f"{len(made)} models at a load point")
    for name, batch_size, run in made:
        recorder.run("alone", [(name, batch_size, [run])], arguments.solo_s)
    recorder.say("all alone")
    chance = random.Random(arguments.seed)
    names = sorted({one[0] for one in made})
    # The report fits on one half of the models and judges on the other.
    halves = {"fit": names[::2], "judge": names[1::2]}
    drawn: list[tuple[str, list[tuple[str, int, list[Run]]]]] = []
    number = 0
    while time.monotonic() + arguments.set_s + 6 < deadline_s - arguments.instances_s:
        size = chance.choice([2, 2, 3, 3, 4, 6])
        by_name = {one[0]: one for one in chance.sample(made, len(made))}
        label = ("fit", "judge")[number % 2]
        half = halves[label]
        picked = [by_name[name] for name in chance.sample(half, min(size, len(half)))]
        members = [(name, batch_size, [run]) for name, batch_size, run in picked]
        if number in REPEATED:  # the same again, minutes later
            label, members = drawn[number // 8 % len(drawn)]
        drawn.append((label, members))
        recorder.run(label, members, arguments.set_s)
        if number % 8 == 7:
            name, batch_size, run = made[number // 8 % len(made)]
            recorder.run("alone", [(name, batch_size, [run])], arguments.solo_s)
        number += 1
    recorder.say(f"{number} sets")
    makers = {(name, batch_size): make for name, batch_size, make in known}
    for name, batch_size, run in chance.sample(made, len(made)):
        if time.monotonic() + 3 * arguments.set_s > deadline_s:
            break
        runs = [run]
        for _ in range(2):
            with suppress(Exception):
                runs.append(makers[name, batch_size]())
            label = "fit" if name in halves["fit"] else "judge"
            recorder.run(label, [(name, batch_size, runs)], arguments.set_s)
    recorder.say("done")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("out")
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--budget-s", type=float, default=270.0)
    parser.add_argument("--instances-s", type=float, default=50.0)
    parser.add_argument("--solo-s", type=float, default=1.5)
    parser.add_argument("--set-s", type=float, default=1.5)
    parser.add_argument("--seed", type=int, default=1)
    record(parser.parse_args())


if __name__ == "__main__":
    main()
