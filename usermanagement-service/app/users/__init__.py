"""Users: registration, reading, changes and deletion."""
