"""Bounds: linear relaxations over configurations, by column generation.

In: a ``CapacityProblem`` and a ``Goal``. Out: a ``Relaxation`` with prices and bound,
and bounds on numbers of bins.
"""
