"""Collections, their tokens, and what is made of them: pairs and groups."""
