"""One job from its config to its results."""
