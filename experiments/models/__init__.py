"""The models that are trained, one folder each, and their shared parts."""
