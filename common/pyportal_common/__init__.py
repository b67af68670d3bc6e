"""What the services have in common: the Redis layer, the web layer, SQL, settings and logs."""

__version__ = "0.1.0"
