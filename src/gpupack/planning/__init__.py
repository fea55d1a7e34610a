"""Translate: records and wishes into packing problems and back, offline."""
