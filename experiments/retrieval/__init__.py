"""First stages: what turns queries into runs."""
