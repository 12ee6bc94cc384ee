"""Benchmarks: `make bench` runs them all and prints ratios side by side in one run."""
