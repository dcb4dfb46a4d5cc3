"""Benchmarks: ours beside other people's programs, in one run on one machine. `make bench`, `make bench-full`."""
