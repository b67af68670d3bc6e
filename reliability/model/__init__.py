"""An exhaustive search of the cache protocol."""
