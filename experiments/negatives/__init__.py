"""Choose the negatives of each training query."""
