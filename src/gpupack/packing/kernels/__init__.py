"""Inner loops in C: arrays in, arrays out, no state.

Each C file is called by one module, which checks what it hands over: one beside it, or
in the only room that it serves (``capacity.many_jobs``, ``runtime``). ``build`` makes a
shared library of them when gpupack is installed, ``library`` loads it; importing any of
these modules loads nothing.
"""
