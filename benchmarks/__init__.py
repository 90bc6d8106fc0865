"""coverdex.benchmarks."""
