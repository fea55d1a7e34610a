"""Exports of perf_analyzer, GenAI-Perf and AIPerf."""
