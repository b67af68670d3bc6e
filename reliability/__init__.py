"""Reliability tests: what the portal promises, checked while Redis and its processes fail."""
