"""coverdex.indexer."""
