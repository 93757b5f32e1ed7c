"""The cross-encoder: reads a query and a passage together."""
