"""Flights, and the seats left on them."""
