"""Notifications, while everything that takes them on and delivers them dies: what `make
chaos-notifications` runs.
"""
