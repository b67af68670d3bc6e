"""Tasks: what users ask for, and workers run."""
