"""Benchmarks: each prints ratios measured in one run, and one JSON object with ``--json``."""
