"""What is planned, and what a plan is.

In: jobs, options and types of bins in integers. Out: problems without what no best
plan needs, configurations of bins, traffic shared out, and checked plans.
"""
