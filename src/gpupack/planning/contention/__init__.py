"""What sharing a GPU costs: predicted from readings of models alone.

In: records, and how GPUs are shared. Out: the share of its throughput that each model
keeps (mean value analysis of a closed queueing network), as a rule for packing, too.
"""
