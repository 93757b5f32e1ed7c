"""Retrieve passages for queries: first stages and sources of negatives."""
