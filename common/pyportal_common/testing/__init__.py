"""For tests: real servers, a relay between them, and one kit for the tests of every service."""
