"""Inner loops, compiled by numba: arrays in, arrays out, no state.

The bodies carry no annotations: numba infers their types at the first call.
"""
