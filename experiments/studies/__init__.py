"""Plan, launch, list and verify the jobs of a study."""
