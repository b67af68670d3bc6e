"""What is measured here: see README.md."""
