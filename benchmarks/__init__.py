"""Benchmarks side by side with peers, one file a question: ``python -m benchmarks [NAME ...]``."""
