"""Test tools: pytest plugins, real servers, raw servers and relays. Not for production code."""
