"""ColBERT: matches token vectors of query and passage (late interaction)."""
