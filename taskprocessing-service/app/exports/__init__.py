"""Exports: files with all tasks of a user, written by tasks."""
