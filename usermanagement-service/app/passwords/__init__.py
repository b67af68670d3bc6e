"""Passwords: hashing, changes, and resets by e-mail."""
