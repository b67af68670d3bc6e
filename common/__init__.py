"""Code that pyportal's services share."""
