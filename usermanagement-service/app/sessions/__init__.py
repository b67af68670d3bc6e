"""Login sessions: logging in and out, and the networks that users log in from."""
