"""Readers of data set layouts, one class each, with the interface of `experiments.data.source.Source`."""
