"""Load pretrained networks and tokenizers, and check their weights, positions, vocabulary and padding."""
