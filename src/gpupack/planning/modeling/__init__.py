"""Records into integers.

In: profiles and a request. Out: a ``CapacityQuestion``, all of it resolved and checked,
and its ``Translation`` into a problem of the packing engine.
"""
