"""Training losses: pure functions on the scores of groups, one file each."""
