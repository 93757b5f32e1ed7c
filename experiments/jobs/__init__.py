"""Run one job from its config to its results."""
