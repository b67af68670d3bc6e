"""Faults in each topology of Redis, under load."""
