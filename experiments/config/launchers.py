"""Say which extra a launcher of Hydra's comes with, where it is not installed."""

EXTRAS = {"joblib": "joblib", "submitit_local": "submitit", "submitit_slurm": "submitit"}  # launcher -> extra


def missing_extra(file: str | None) -> str | None:
    """Return the message for a config file that Hydra does not find, if a launcher's extra would bring it; else None.

    ``file``: such as ``hydra/launcher/joblib``.
    """
    group, _, name = (file or "").rpartition("/")
    if group != "hydra/launcher" or name not in EXTRAS:
        return None
    return f"hydra/launcher={name} is not installed: pip install 'rerank-ablations[{EXTRAS[name]}]'"
