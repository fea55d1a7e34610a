"""The probe's process: runs short kernels on a GPU, and times them.

Run as ``python -I -S probe_worker.py``. Every line on standard input names a kind of
kernel and a number of seconds; the answer is one line of JSON with how many kernels
ended and how long one took. The end of standard input ends the process, and with it
all it has on the GPU. It needs the standard library and the driver's ``libcuda.so.1``.

The kernel reads and writes nothing: each of its blocks holds its place for some clock
cycles. Beside clients of an MPS daemon there are three kinds:

* ``full`` takes all threads of all multiprocessors, one kernel after the other: what a
  neighbor of many short kernels does to a model;
* ``spread`` takes some threads of every multiprocessor, one kernel after the other: it
  waits for the model as such a neighbor's kernels do;
* ``single`` takes one warp, now and then: where there is room for it everywhere, it
  waits for no more than the model's kernel before it to be handed out.

Where processes take turns on the GPU there are two:

* ``busy`` always has kernels queued: a neighbor that uses every slice it gets;
* ``turn`` is one warp's, now and then, timed by the host, since the GPU's own clock
  would begin with the process's turn: how long it waits for that.

Source: NVIDIA, "CUDA Driver API" (functions, attribute numbers) and "PTX ISA".
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import sys
import time

KERNEL_US = {"full": 20, "spread": 20, "single": 5, "busy": 100, "turn": 5}
"""Long beside the time from one kernel to the next, short beside a request."""
INTERVAL_S = {"single": 0.0012, "turn": 0.0025}
"""From one to the next, on average."""
_LIBRARY = "libcuda.so.1"
_BLOCK_THREADS = {"full": 1024, "spread": 256, "single": 32, "busy": 256, "turn": 32}
_KERNELS_AT_ONCE = 32
_CLOCK_RATE_KHZ, _NUM_MULTIPROCESSORS, _MULTIPROCESSOR_THREADS = 13, 16, 39
"""``CU_DEVICE_ATTRIBUTE_…``."""
# The oldest target that today's drivers translate: it runs on every GPU since.
_PTX = b"""
.version 6.0
.target sm_50
.address_size 64
.visible .entry hold(.param .u64 num_cycles)
{
  .reg .pred %waits;
  .reg .u64 %t<4>;
  ld.param.u64 %t1, [num_cycles];
  mov.u64 %t2, %clock64;
again:
  mov.u64 %t3, %clock64;
  sub.u64 %t3, %t3, %t2;
  setp.lt.u64 %waits, %t3, %t1;
  @%waits bra again;
  ret;
}
"""


_NULL = ctypes.c_void_p()
Answer = dict[str, "float | list[float]"]


class CudaError(Exception):
    """The driver refused something; says what and why."""


class Gpu:
    """The first GPU that the process sees, with the kernel loaded."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL(_LIBRARY)
        except OSError as err:
            raise CudaError(f"{err}; the NVIDIA driver's packages bring it") from err
        device = ctypes.c_int()
        context, module = ctypes.c_void_p(), ctypes.c_void_p()
        self._kernel = ctypes.c_void_p()
        self._call("cuInit", 0)
        self._call("cuDeviceGet", ctypes.byref(device), 0)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._call("cuCtxSetCurrent", context)
        self._call("cuModuleLoadData", ctypes.byref(module), ctypes.c_char_p(_PTX))
        self._call("cuModuleGetFunction", ctypes.byref(self._kernel), module, b"hold")
        clock_khz, num_multiprocessors, num_threads = (
            self._attribute(number, device)
            for number in (
                _CLOCK_RATE_KHZ,
                _NUM_MULTIPROCESSORS,
                _MULTIPROCESSOR_THREADS,
            )
        )
        self._cycles_per_us = clock_khz // 1000
        self._num_blocks = {
            "full": num_multiprocessors * max(1, num_threads // _BLOCK_THREADS["full"]),
            "spread": num_multiprocessors,
            "single": 1,
            "busy": num_multiprocessors,
            "turn": 1,
        }
        self._events = (ctypes.c_void_p(), ctypes.c_void_p())
        for event in self._events:
            self._call("cuEventCreate", ctypes.byref(event), 0)

    def run(self, kind: str, duration_s: float) -> Answer:
        """Launch kernels of a kind for so long, some of them at least."""
        num_cycles = ctypes.c_uint64(KERNEL_US[kind] * self._cycles_per_us)
        pointer = ctypes.cast(ctypes.byref(num_cycles), ctypes.c_void_p)
        parameters = (ctypes.c_void_p * 1)(pointer)
        one, shared_bytes, stream = ctypes.c_uint(1), ctypes.c_uint(0), _NULL
        blocks = ctypes.c_uint(self._num_blocks[kind])
        threads = ctypes.c_uint(_BLOCK_THREADS[kind])
        launch = (
            *(self._kernel, blocks, one, one, threads, one, one),
            *(shared_bytes, stream, parameters, _NULL),
        )
        if kind == "single":
            return self._run_singly(launch, duration_s)
        if kind == "turn":
            return self._run_in_turn(launch, duration_s)
        if kind == "busy":
            return self._run_without_pause(launch, duration_s)
        num_kernels = 0
        begin_s = time.perf_counter()
        while True:
            for _ in range(_KERNELS_AT_ONCE):
                self._call("cuLaunchKernel", *launch)
            self._call("cuCtxSynchronize")
            num_kernels += _KERNELS_AT_ONCE
            taken_s = time.perf_counter() - begin_s
            if taken_s >= duration_s:
                return {
                    "num_kernels": num_kernels,
                    "kernel_us": 1e6 * taken_s / num_kernels,
                }

    def _run_without_pause(
        self, launch: tuple[object, ...], duration_s: float
    ) -> Answer:
        """Launch the next kernels while the last ones run."""
        num_kernels = 0
        begin_s = time.perf_counter()
        self._launch_all(launch, 0)
        while True:
            for turn in (1, 0):
                self._launch_all(launch, turn)
                self._call("cuEventSynchronize", self._events[1 - turn])
                num_kernels += _KERNELS_AT_ONCE
            taken_s = time.perf_counter() - begin_s
            if taken_s >= duration_s:
                self._call("cuCtxSynchronize")
                return {
                    "num_kernels": num_kernels,
                    "kernel_us": 1e6 * taken_s / num_kernels,
                }

    def _launch_all(self, launch: tuple[object, ...], turn: int) -> None:
        for _ in range(_KERNELS_AT_ONCE):
            self._call("cuLaunchKernel", *launch)
        self._call("cuEventRecord", self._events[turn], _NULL)

    def _run_in_turn(self, launch: tuple[object, ...], duration_s: float) -> Answer:
        """Time each kernel by the host's clock, at random moments."""
        taken_us = []
        begin_s = time.perf_counter()
        while True:
            time.sleep(INTERVAL_S["turn"] * random.uniform(0.5, 1.5))
            launched_s = time.perf_counter()
            self._call("cuLaunchKernel", *launch)
            self._call("cuCtxSynchronize")
            now_s = time.perf_counter()
            taken_us.append(round(1e6 * (now_s - launched_s), 1))
            if now_s - begin_s >= duration_s:
                return {"taken_us": taken_us}

    def _run_singly(self, launch: tuple[object, ...], duration_s: float) -> Answer:
        """Time each kernel by the GPU's own clock, at random moments."""
        begin, end = self._events
        passed_ms = ctypes.c_float()
        total_us = 0.0
        num_kernels = 0
        begin_s = time.perf_counter()
        while True:
            time.sleep(INTERVAL_S["single"] * random.uniform(0.5, 1.5))
            self._call("cuEventRecord", begin, _NULL)
            self._call("cuLaunchKernel", *launch)
            self._call("cuEventRecord", end, _NULL)
            self._call("cuCtxSynchronize")
            self._call("cuEventElapsedTime", ctypes.byref(passed_ms), begin, end)
            total_us += 1e3 * passed_ms.value
            num_kernels += 1
            if time.perf_counter() - begin_s >= duration_s:
                return {"num_kernels": num_kernels, "kernel_us": total_us / num_kernels}

    def _attribute(self, number: int, device: ctypes.c_int) -> int:
        value = ctypes.c_int()
        self._call("cuDeviceGetAttribute", ctypes.byref(value), number, device)
        return value.value

    def _call(self, name: str, *arguments: object) -> None:
        code = getattr(self._library, name)(*arguments)
        if code != 0:
            text = ctypes.c_char_p()
            self._library.cuGetErrorString(code, ctypes.byref(text))
            reason = (text.value or b"unknown error").decode(errors="replace")
            raise CudaError(f"{name}: {reason} (CUDA error {code})")


def main() -> None:
    """Serve standard input."""
    try:
        gpu = Gpu()
        _tell({})
        for line in sys.stdin:
            kind, duration_s = line.split()
            _tell(gpu.run(kind, float(duration_s)))
    except CudaError as err:
        _tell({"error": str(err)})
        sys.exit(1)
    except BrokenPipeError:
        os._exit(1)  # gpupack is gone: nobody is left to tell


def _tell(answer: Answer | dict[str, str]) -> None:
    print(json.dumps(answer), flush=True)  # noqa: T201 (gpupack reads it)


if __name__ == "__main__":
    main()
