"""Fairlead beside its peers, one worker each, in one interleaved run. `make bench`; how and why: docs/benchmarks.md."""
