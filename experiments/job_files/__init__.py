"""The files that a job leaves: one module a file, writer beside reader."""
