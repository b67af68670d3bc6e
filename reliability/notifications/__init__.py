"""Notifications are delivered at least once, under one id, despite crashes."""
