"""Rerank Ablations: declarative experiments on losses and negatives for re-rankers."""

import os

# OpenMP's threads spin while they wait for each other. On a machine that does anything else beside (another job, a
# browser), a spinning thread keeps the one it waits for off the core: training was measured 15 times slower there.
# Read when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
