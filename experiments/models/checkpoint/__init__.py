"""A trained model that is measured as it is."""
