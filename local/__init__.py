"""The portal on one machine without Docker: `make run` and the targets beside it."""
