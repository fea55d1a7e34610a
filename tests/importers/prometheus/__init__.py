"""Tests of reading running clusters."""
