"""Collections, their tokens, splits and runs, and the batches made of them."""
