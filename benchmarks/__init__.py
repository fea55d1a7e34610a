"""Drivers that measure gpupack against its peers; see README.md."""
