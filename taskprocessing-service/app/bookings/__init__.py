"""Bookings: seats on flights, sold and returned by tasks."""
