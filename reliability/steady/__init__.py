"""Memory and descriptors under a steady load."""
