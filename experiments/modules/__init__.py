"""LightningModules and the forward passes below them."""
