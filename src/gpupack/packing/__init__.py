"""Decide: exact vector bin packing over integers, without I/O or GPU words."""
