"""Tasks, while everything that takes them on and does them dies: what `make chaos-tasks` runs."""
