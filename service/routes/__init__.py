"""Routes: the HTTP operations; one module per concept."""
