"""Inner loops in C: arrays in, arrays out, no state.

``items`` and ``capacity`` hold those of the two engines, which share nothing but what
lies here. Each C file is called by one module beside it, which checks what it hands
over. ``build`` makes one shared library of them all when gpupack is installed,
``library`` loads it; importing any of these modules loads nothing.
"""
