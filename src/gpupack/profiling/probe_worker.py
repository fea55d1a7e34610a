"""The probe's process: keeps a GPU full of short kernels, and times them.

Run as ``python -I -S probe_worker.py``. Every line on standard input is a number of
seconds; the answer is one line of JSON with how many kernels ended and how long that
took. The end of standard input ends the process, and with it all it has on the GPU. It
needs the standard library and the driver's ``libcuda.so.1`` alone.

The kernel reads and writes nothing: each of its blocks holds its place for some clock
cycles. All threads of all multiprocessors are taken, so it starts when another
process's kernel leaves, and that one's next kernel starts when it ends: how kernels of
two models that fill the GPU take turns under MPS.

Source: NVIDIA, "CUDA Driver API" (functions, attribute numbers) and "PTX ISA".
"""

from __future__ import annotations

import ctypes
import json
import sys
import time

KERNEL_US = 20
"""Long beside the time from one kernel to the next, short beside a request."""
_LIBRARY = "libcuda.so.1"
_BLOCK_THREADS = 1024
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
        self._num_blocks = num_multiprocessors * max(1, num_threads // _BLOCK_THREADS)
        self._num_cycles = ctypes.c_uint64(KERNEL_US * clock_khz // 1000)

    def run(self, duration_s: float) -> dict[str, float]:
        """Launch kernels back to back for so long, some of them at least."""
        pointer = ctypes.cast(ctypes.byref(self._num_cycles), ctypes.c_void_p)
        parameters = (ctypes.c_void_p * 1)(pointer)
        grid = (ctypes.c_uint(self._num_blocks), ctypes.c_uint(1), ctypes.c_uint(1))
        block = (ctypes.c_uint(_BLOCK_THREADS), ctypes.c_uint(1), ctypes.c_uint(1))
        shared_bytes, stream = ctypes.c_uint(0), ctypes.c_void_p()
        arguments = (
            *(self._kernel, *grid, *block, shared_bytes, stream),
            *(parameters, ctypes.c_void_p()),
        )
        num_kernels = 0
        begin_s = time.perf_counter()
        while True:
            for _ in range(_KERNELS_AT_ONCE):
                self._call("cuLaunchKernel", *arguments)
            self._call("cuCtxSynchronize")
            num_kernels += _KERNELS_AT_ONCE
            taken_s = time.perf_counter() - begin_s
            if taken_s >= duration_s:
                return {"num_kernels": num_kernels, "duration_s": taken_s}

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
            _tell(gpu.run(float(line)))
    except CudaError as err:
        _tell({"error": str(err)})
        sys.exit(1)


def _tell(answer: dict[str, float] | dict[str, str]) -> None:
    print(json.dumps(answer), flush=True)  # noqa: T201 (gpupack reads it)


if __name__ == "__main__":
    main()
