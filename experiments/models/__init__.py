"""The models that are trained, a folder each, and what they share."""
