"""Programs that benchmarks run in separate processes, some in a service's folder."""
