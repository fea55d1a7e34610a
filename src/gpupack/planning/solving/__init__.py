"""A question into a checked ``Placement``.

In: a ``CapacityQuestion``. Out: a ``Placement``, of the fewest GPUs where there is
nothing to choose, of the best plan where there is.
"""
