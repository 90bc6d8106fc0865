"""Schemas: what goes over the wire, as pydantic models; one module per concept.

The OpenAPI document is made from them, so every field carries a description and an example.
"""
