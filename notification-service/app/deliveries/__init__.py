"""Deliveries: what workers do with notifications."""
