"""Write and read the files of a job: one module a file, writer next to reader."""
