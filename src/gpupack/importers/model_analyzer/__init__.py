"""Exports of Model Analyzer: tables, configurations, several GPUs, models together."""
