"""coverdex.encoder."""
