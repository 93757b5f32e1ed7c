"""Readers: one class a data set layout, each of the form of `experiments.data.source.Source`."""
