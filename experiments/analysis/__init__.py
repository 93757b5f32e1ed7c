"""Read the results of a study and analyse them."""
