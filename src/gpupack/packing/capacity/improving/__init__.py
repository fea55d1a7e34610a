"""Plans: construction, diving, and large neighborhood search.

In: a problem, and a relaxation's prices where there are some. Out: bins that serve
more, or cost less, than those before.
"""
