"""What the promises about time and memory rest on. README.md says what is measured, and how."""
