"""Notifications: created by users and services, and shown to them."""
