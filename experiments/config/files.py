"""Where the config files are: ``conf/`` and ``sweeps/`` at the top of a checkout, or inside an installed package."""

from pathlib import Path

PACKAGE = Path(__file__).parents[1]
INSTALLED = (PACKAGE / "conf").is_dir()  # a wheel carries both folders
CONF = PACKAGE / "conf" if INSTALLED else PACKAGE.parent / "conf"
SWEEPS = CONF / "sweeps" if INSTALLED else PACKAGE.parent / "sweeps"
