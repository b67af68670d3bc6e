"""The benchmarks. Each module is one: `run` measures and returns a Report."""
