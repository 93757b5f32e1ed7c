"""The dual encoder: one vector for a query and one for a passage."""
