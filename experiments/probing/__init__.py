"""What the layers of a cross-encoder know: each read as an embedder of texts."""
