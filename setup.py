"""Put ``conf/`` and ``sweeps/``, which are at the top of the checkout, into the wheel as ``experiments/conf``."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

TOP = Path(__file__).parent


class BuildWithConfigs(build_py):
    """Copy the config files next to the modules; an editable install reads them where they are."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, "experiments", "conf")
            shutil.copytree(TOP / "conf", target, dirs_exist_ok=True)
            others = shutil.ignore_patterns("wandb", "results")
            shutil.copytree(TOP / "sweeps", target / "sweeps", ignore=others, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithConfigs})
