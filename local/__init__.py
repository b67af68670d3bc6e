"""The portal on one machine, without Docker: what stands behind `make run` and its relatives."""
