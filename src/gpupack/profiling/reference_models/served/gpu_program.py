"""Kernels of the reference models, launched through the driver's library alone.

Source: NVIDIA, "CUDA Driver API" (functions, attribute numbers) and "PTX ISA".
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

_LIBRARY = "libcuda.so.1"
_NUM_MULTIPROCESSORS = 16
_BLOCKING_SYNC = 4
"""``CU_DEVICE_ATTRIBUTE_…`` and ``CU_CTX_SCHED_…``."""
# The oldest target that today's drivers translate: it runs on every GPU since.
PTX = b"""
.version 6.0
.target sm_50
.address_size 64

.visible .entry compute(.param .u64 found, .param .u32 num_rounds)
{
  .reg .pred %p<3>;
  .reg .u32 %r<3>;
  .reg .u64 %d<2>;
  .reg .f32 %f<3>;
  ld.param.u64 %d1, [found];
  ld.param.u32 %r1, [num_rounds];
  mov.u32 %r2, 0;
  mov.f32 %f1, 0f3F800000;
  mov.f32 %f2, 0f3F7FFFFE;
again:
  fma.rn.f32 %f1, %f1, %f2, 0f33800000;
  fma.rn.f32 %f1, %f1, %f2, 0f33800000;
  fma.rn.f32 %f1, %f1, %f2, 0f33800000;
  fma.rn.f32 %f1, %f1, %f2, 0f33800000;
  add.u32 %r2, %r2, 1;
  setp.lt.u32 %p1, %r2, %r1;
  @%p1 bra again;
  setp.gt.f32 %p2, %f1, 0f00000000;
  @%p2 bra done;
  st.global.f32 [%d1], %f1;
done:
  ret;
}

.visible .entry copy(.param .u64 given, .param .u64 found, .param .u32 num_vectors)
{
  .reg .pred %p<2>;
  .reg .u32 %r<7>;
  .reg .u64 %d<6>;
  .reg .f32 %f<5>;
  ld.param.u64 %d1, [given];
  ld.param.u64 %d2, [found];
  ld.param.u32 %r1, [num_vectors];
  mov.u32 %r2, %ctaid.x;
  mov.u32 %r3, %ntid.x;
  mov.u32 %r4, %tid.x;
  mad.lo.u32 %r5, %r2, %r3, %r4;
  mov.u32 %r6, %nctaid.x;
  mul.lo.u32 %r6, %r6, %r3;
again:
  setp.ge.u32 %p1, %r5, %r1;
  @%p1 bra done;
  mul.wide.u32 %d3, %r5, 16;
  add.u64 %d4, %d1, %d3;
  add.u64 %d5, %d2, %d3;
  ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%d4];
  st.global.v4.f32 [%d5], {%f1, %f2, %f3, %f4};
  add.u32 %r5, %r5, %r6;
  bra again;
done:
  ret;
}

.visible .entry dense(
  .param .u64 given, .param .u64 weights, .param .u64 found,
  .param .u32 num_inputs, .param .u32 num_outputs)
{
  .reg .pred %p<3>;
  .reg .u32 %r<10>;
  .reg .u64 %d<8>;
  .reg .f32 %f<4>;
  ld.param.u64 %d1, [given];
  ld.param.u64 %d2, [weights];
  ld.param.u64 %d3, [found];
  ld.param.u32 %r1, [num_inputs];
  ld.param.u32 %r2, [num_outputs];
  mov.u32 %r3, %ctaid.x;
  mov.u32 %r4, %ntid.x;
  mov.u32 %r5, %tid.x;
  mad.lo.u32 %r3, %r3, %r4, %r5;
  setp.ge.u32 %p1, %r3, %r2;
  @%p1 bra done;
  mov.u32 %r6, %ctaid.y;
  mul.lo.u32 %r7, %r6, %r1;
  mul.wide.u32 %d4, %r7, 4;
  add.u64 %d4, %d1, %d4;
  mul.wide.u32 %d5, %r3, 4;
  add.u64 %d5, %d2, %d5;
  mul.wide.u32 %d6, %r2, 4;
  mov.f32 %f1, 0f00000000;
  mov.u32 %r8, 0;
again:
  ld.global.f32 %f2, [%d4];
  ld.global.f32 %f3, [%d5];
  fma.rn.f32 %f1, %f2, %f3, %f1;
  add.u64 %d4, %d4, 4;
  add.u64 %d5, %d5, %d6;
  add.u32 %r8, %r8, 1;
  setp.lt.u32 %p2, %r8, %r1;
  @%p2 bra again;
  max.f32 %f1, %f1, 0f00000000;
  mad.lo.u32 %r9, %r6, %r2, %r3;
  mul.wide.u32 %d7, %r9, 4;
  add.u64 %d7, %d3, %d7;
  st.global.f32 [%d7], %f1;
done:
  ret;
}

.visible .entry convolution(
  .param .u64 given, .param .u64 weights, .param .u64 found,
  .param .u32 side, .param .u32 num_channels)
{
  .reg .pred %p<3>;
  .reg .u32 %r<16>;
  .reg .u64 %d<12>;
  .reg .f32 %f<20>;
  ld.param.u64 %d1, [given];
  ld.param.u64 %d2, [weights];
  ld.param.u64 %d3, [found];
  ld.param.u32 %r1, [side];
  ld.param.u32 %r2, [num_channels];
  mov.u32 %r3, %ctaid.x;
  mov.u32 %r4, %ntid.x;
  mov.u32 %r5, %tid.x;
  mad.lo.u32 %r3, %r3, %r4, %r5;
  mul.lo.u32 %r6, %r1, %r1;
  setp.ge.u32 %p1, %r3, %r6;
  @%p1 bra done;
  mov.u32 %r7, %ctaid.y;
  div.u32 %r8, %r3, %r1;
  rem.u32 %r9, %r3, %r1;
  add.u32 %r10, %r1, 2;
  mad.lo.u32 %r11, %r8, %r10, %r9;
  mul.wide.u32 %d4, %r11, 4;
  add.u64 %d4, %d1, %d4;
  mul.wide.u32 %d5, %r10, 4;
  mul.lo.u32 %r12, %r10, %r10;
  mul.wide.u32 %d6, %r12, 4;
  mul.lo.u32 %r13, %r7, %r2;
  mul.wide.u32 %d7, %r13, 36;
  add.u64 %d7, %d2, %d7;
  mov.f32 %f1, 0f00000000;
  mov.u32 %r14, 0;
again:
  add.u64 %d8, %d4, %d5;
  add.u64 %d9, %d8, %d5;
  ld.global.f32 %f2, [%d4];
  ld.global.f32 %f3, [%d4+4];
  ld.global.f32 %f4, [%d4+8];
  ld.global.f32 %f5, [%d8];
  ld.global.f32 %f6, [%d8+4];
  ld.global.f32 %f7, [%d8+8];
  ld.global.f32 %f8, [%d9];
  ld.global.f32 %f9, [%d9+4];
  ld.global.f32 %f10, [%d9+8];
  ld.global.f32 %f11, [%d7];
  ld.global.f32 %f12, [%d7+4];
  ld.global.f32 %f13, [%d7+8];
  ld.global.f32 %f14, [%d7+12];
  ld.global.f32 %f15, [%d7+16];
  ld.global.f32 %f16, [%d7+20];
  ld.global.f32 %f17, [%d7+24];
  ld.global.f32 %f18, [%d7+28];
  ld.global.f32 %f19, [%d7+32];
  fma.rn.f32 %f1, %f2, %f11, %f1;
  fma.rn.f32 %f1, %f3, %f12, %f1;
  fma.rn.f32 %f1, %f4, %f13, %f1;
  fma.rn.f32 %f1, %f5, %f14, %f1;
  fma.rn.f32 %f1, %f6, %f15, %f1;
  fma.rn.f32 %f1, %f7, %f16, %f1;
  fma.rn.f32 %f1, %f8, %f17, %f1;
  fma.rn.f32 %f1, %f9, %f18, %f1;
  fma.rn.f32 %f1, %f10, %f19, %f1;
  add.u64 %d4, %d4, %d6;
  add.u64 %d7, %d7, 36;
  add.u32 %r14, %r14, 1;
  setp.lt.u32 %p2, %r14, %r2;
  @%p2 bra again;
  max.f32 %f1, %f1, 0f00000000;
  mul.lo.u32 %r15, %r7, %r12;
  add.u32 %r15, %r15, %r11;
  add.u32 %r15, %r15, %r10;
  add.u32 %r15, %r15, 1;
  mul.wide.u32 %d10, %r15, 4;
  add.u64 %d10, %d3, %d10;
  st.global.f32 [%d10], %f1;
done:
  ret;
}
"""

c_uint32 = ctypes.c_uint32
_NULL = ctypes.c_void_p()


class DriverRefusalError(Exception):
    """The driver refused something; says what and why."""


class Launch:
    """One kernel with its grid and parameters, ready to be launched many times."""

    def __init__(
        self, kernel: Any, grid: tuple[int, int], threads: int, values: list[Any]
    ) -> None:
        self._values = values  # the pointers below are into these
        pointers = [ctypes.cast(ctypes.byref(one), ctypes.c_void_p) for one in values]
        self._parameters = (ctypes.c_void_p * len(pointers))(*pointers)
        one = ctypes.c_uint(1)
        self.arguments = (
            *(kernel, ctypes.c_uint(grid[0]), ctypes.c_uint(grid[1]), one),
            *(ctypes.c_uint(threads), one, one, ctypes.c_uint(0)),
            *(_NULL, self._parameters, _NULL),
        )


class ReferenceGpu:
    """A GPU that the process sees, with the kernels loaded.

    Args:
        index: Of those that the process sees.

    Raises:
        DriverRefusalError: There is none, or the driver refuses.
    """

    def __init__(self, index: int) -> None:
        try:
            self._library = ctypes.CDLL(_LIBRARY)
        except OSError as err:
            raise DriverRefusalError(
                f"{err}; the NVIDIA driver's packages bring it"
            ) from err
        device = ctypes.c_int()
        context, self._module = ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuInit", 0)
        self._call("cuDeviceGet", ctypes.byref(device), index)
        # A waiting process sleeps, so that many of them fit on few cores.
        self._call("cuDevicePrimaryCtxSetFlags_v2", device, _BLOCKING_SYNC)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._context = context
        self.use()
        self._call("cuModuleLoadData", ctypes.byref(self._module), ctypes.c_char_p(PTX))
        number = ctypes.c_int()
        self._call(
            "cuDeviceGetAttribute", ctypes.byref(number), _NUM_MULTIPROCESSORS, device
        )
        self.num_multiprocessors = number.value
        self._events = (ctypes.c_void_p(), ctypes.c_void_p())
        for event in self._events:
            self._call("cuEventCreate", ctypes.byref(event), 0)

    def use(self) -> None:
        """Make the context that of the calling thread."""
        self._call("cuCtxSetCurrent", self._context)

    def kernel(self, name: str) -> Any:
        """Return the kernel of that name."""
        found = ctypes.c_void_p()
        self._call(
            "cuModuleGetFunction", ctypes.byref(found), self._module, name.encode()
        )
        return found

    def reserve(self, num_bytes: int) -> ctypes.c_uint64:
        """Return the address of so much memory, zeroed."""
        address = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(num_bytes))
        self._call(
            "cuMemsetD8_v2", address, ctypes.c_ubyte(0), ctypes.c_size_t(num_bytes)
        )
        return address

    def upload(self, address: ctypes.c_uint64, values: Any) -> None:
        """Copy an array to the GPU."""
        whole = np.ascontiguousarray(values, dtype=np.float32)
        self._call(
            "cuMemcpyHtoD_v2",
            address,
            ctypes.c_void_p(whole.ctypes.data),
            ctypes.c_size_t(whole.nbytes),
        )

    def download(self, address: ctypes.c_uint64, num_values: int) -> Any:
        """Return so many numbers from the GPU; waits for all kernels before."""
        values = np.empty(num_values, dtype=np.float32)
        self._call(
            "cuMemcpyDtoH_v2",
            ctypes.c_void_p(values.ctypes.data),
            address,
            ctypes.c_size_t(values.nbytes),
        )
        return values

    def launch(self, launches: list[Launch]) -> None:
        """Launch kernels one after the other; does not wait."""
        for one in launches:
            self._call("cuLaunchKernel", *one.arguments)

    def wait(self) -> None:
        """Wait until all kernels have ended."""
        self._call("cuCtxSynchronize")

    def time_us(self, launches: list[Launch]) -> float:
        """Return how long these kernels take by the GPU's own clock."""
        begin, end = self._events
        passed_ms = ctypes.c_float()
        self._call("cuEventRecord", begin, _NULL)
        self.launch(launches)
        self._call("cuEventRecord", end, _NULL)
        self.wait()
        self._call("cuEventElapsedTime", ctypes.byref(passed_ms), begin, end)
        return 1e3 * passed_ms.value

    def _call(self, name: str, *arguments: object) -> None:
        code = getattr(self._library, name)(*arguments)
        if code != 0:
            text = ctypes.c_char_p()
            self._library.cuGetErrorString(code, ctypes.byref(text))
            reason = (text.value or b"unknown error").decode(errors="replace")
            raise DriverRefusalError(f"{name}: {reason} (CUDA error {code})")
