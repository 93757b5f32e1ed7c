"""What the outside world sees of a job: one Weights & Biases run each."""
