"""The code that the services share: the Redis layer, the web layer, SQL, jobs and settings."""

__version__ = "0.1.0"
