"""The applications that `peers` compares. Each answers the same request for a user."""
