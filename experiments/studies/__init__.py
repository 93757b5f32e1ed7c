"""Jobs, their identity and folders, and the tables made of them."""
