"""What is packed, and what a packing is.

In: sizes and a capacity in integers. Out: problems, results and their independent
check, and the ``Ladder`` that keeps the best packing and bound of a search.
"""
