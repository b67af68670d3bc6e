"""What the services have in common: the Redis layer, the web layer, SQL, settings and logs."""
