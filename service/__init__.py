"""coverdex.service."""
