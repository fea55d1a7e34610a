"""What was asked, resolved: names, numbers, GPU types.

In: a ``Request``, or the arguments of ``place()``. Out: wishes by model, the fleet with
its prices, what binds, and the records that may be used.
"""
