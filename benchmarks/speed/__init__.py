"""Speed: how quick the index is, as ratios of two sides that are measured in one run."""
