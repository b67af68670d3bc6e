"""Nothing stale over HTTP after an answer, under failures."""
