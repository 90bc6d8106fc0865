"""coverdex.search."""
