"""Items of several dimensions into as few equal bins as possible.

In: a ``PackingProblem``, and a rule of what may share a bin where there is one. Out:
a checked ``PackingResult`` with its bound, what found it and what proved it.
"""
