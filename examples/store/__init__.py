"""A store with a cache, limits and sessions: the three extensions together, and Portal."""
