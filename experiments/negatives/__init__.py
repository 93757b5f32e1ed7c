"""Which passages stand in a query's group."""
