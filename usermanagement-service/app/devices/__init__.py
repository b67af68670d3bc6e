"""The sessions of users as a list of devices."""
