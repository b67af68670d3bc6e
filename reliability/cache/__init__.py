"""Cache consistency under failures."""
