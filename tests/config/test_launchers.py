"""A launcher whose extra is not installed is one line that names the extra."""

from hydra.errors import MissingConfigException

from experiments.config.compose import explain


def test_the_message_for_a_launcher_that_is_not_installed_names_its_extra():
    error = MissingConfigException("In 'hydra/launcher/slurm': Could not load ...", "hydra/launcher/submitit_slurm")
    assert explain(error) == (
        "hydra/launcher=submitit_slurm is not installed: pip install 'rerank-ablations[submitit]'"
    )


def test_a_launcher_that_no_extra_brings_keeps_hydras_list_of_those_that_there_are():
    error = MissingConfigException("Could not find 'hydra/launcher/rya'. Available: basic", "hydra/launcher/rya")
    assert explain(error) == "Could not find 'hydra/launcher/rya'. Available: basic"
