"""A study as one self-contained HTML file."""

from experiments.studies.page.page import write_page

__all__ = ["write_page"]
