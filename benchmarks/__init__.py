"""Measurements of time and memory. README.md says what is measured, and how."""
