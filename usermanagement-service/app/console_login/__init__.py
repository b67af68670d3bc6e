"""The page where admins log in to the consoles of all services."""
