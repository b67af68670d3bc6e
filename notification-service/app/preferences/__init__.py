"""Preferences: which notifications users want, and on which channel."""
