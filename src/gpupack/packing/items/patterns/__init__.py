"""Column generation on patterns, and the searches that follow it.

In: a ``Ladder``. Out: better packings and bounds on it, from pricing, diving, branching
and programs over patterns (Gilmore and Gomory), and from ejection chains.
"""
