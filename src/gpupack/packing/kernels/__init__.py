"""Inner loops in C: arrays in, arrays out, no state.

Each module calls the functions of the C file of its name and checks what it hands
over. ``build`` makes a shared library of them when gpupack is installed, ``library``
loads it; importing any of these modules loads nothing.
"""
