"""Helpers that every package uses: errors, the cache on disk, random keys, progress, text."""
