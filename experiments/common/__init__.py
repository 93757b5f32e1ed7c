"""What every room uses: errors, the cache on disk, random keys, progress, text."""
