"""Measures of runs and tests of differences."""
