"""Tests of rightsizing."""
