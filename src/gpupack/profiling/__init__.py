"""Measure: the part that needs a server."""
