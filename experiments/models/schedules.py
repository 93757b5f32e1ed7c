"""Learning-rate schedules: pure functions that ``scheduler._target_`` names.

Each returns the factor on the peak learning rate at ``step`` (0 is the first of ``steps``). The rate rises linearly
over ``warmup``: a share of all steps if below 1, else a number of steps. To add a schedule, write one function here and
one file in ``conf/scheduler``.
"""

import math


def warmup_steps(warmup: float, steps: int) -> int:
    """Return the number of warm-up steps: a share of ``steps`` is rounded, a number is cut to an integer."""
    return round(warmup * steps) if warmup < 1 else math.floor(warmup)


def _rise(step: int, warming: int) -> float:
    return (step + 1) / (warming + 1)


def constant(step: int, steps: int, warmup: float = 0.1) -> float:
    """Stay at the peak after the warm-up."""
    warming = warmup_steps(warmup, steps)
    return _rise(step, warming) if step < warming else 1.0


def linear(step: int, steps: int, warmup: float = 0.1) -> float:
    """Fall to 0 at the end (Nogueira 2019, Gao 2021)."""
    warming = warmup_steps(warmup, steps)
    return _rise(step, warming) if step < warming else max(0.0, (steps - step) / max(1, steps - warming))


def inverse_time(step: int, steps: int, warmup: float = 0.1, decay: float = 1.0) -> float:
    """Fall as 1 / (1 + ``decay`` * share of the training since the warm-up).

    Pradeep 2022: 3,000 of 30,000 warm-up steps, about 0.53 of the peak at the end with ``decay`` 1.
    """
    warming = warmup_steps(warmup, steps)
    return _rise(step, warming) if step < warming else 1.0 / (1.0 + decay * (step - warming) / steps)
