"""How fast we are, and beside whom: `python -m benchmarks`, or `make bench`."""
