"""Training groups and the batches made of them."""
