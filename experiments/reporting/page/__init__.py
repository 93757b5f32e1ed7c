"""A study as one self-contained HTML file."""

from experiments.reporting.page.page import write_page

__all__ = ["write_page"]
