"""Fields that a service validates."""

from common.pyportal_common.fields import normalized_email

assert normalized_email("john@EXAMPLE.com") == "john@example.com"
