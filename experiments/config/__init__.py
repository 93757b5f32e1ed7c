"""Declare every key of an experiment with its type and range. The files of ``conf/`` set them.

A composed config becomes these objects before anything loads; a value out of range is refused with its key.
"""

from experiments.config.audit import Audit, Retrieve
from experiments.config.compute import Compute, TokensPerBatch, Trainer
from experiments.config.data import Backbone, Data, Negatives, QueryLimits
from experiments.config.experiment import Experiment
from experiments.config.model import Model
from experiments.config.probe import Probe
from experiments.config.training import Batch, Budget, Optimization, Optimizer, Validation

__all__ = [
    "Audit", "Backbone", "Batch", "Budget", "Compute", "Data", "Experiment", "Model", "Negatives", "Optimization",
    "Optimizer", "Probe", "QueryLimits", "Retrieve", "TokensPerBatch", "Trainer", "Validation",
]  # fmt: skip
