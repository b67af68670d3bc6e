"""The service's own variables."""

import ipaddress
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from common.pyportal_common.cache_handlers import RateLimit
from common.pyportal_common.settings import ServiceSettings

# One address as RFC 5321 has most of them, and no name: it stands in headers as it is.
_ADDRESS = r"^[A-Za-z0-9.!#$%&'*+/=^_`{|}~-]+@[A-Za-z0-9.-]+$"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class NotificationSettings(ServiceSettings):
    """Where mail goes, what webhooks may reach, how much, and what every service reads."""

    rate_limit_notifications: RateLimit = RateLimit("notifications", limit=60, window=60)
    # To one domain of recipients, or one host of webhooks. What is over it waits.
    rate_limit_deliveries: RateLimit = RateLimit("deliveries", limit=600, window=60)

    smtp_host: str = ""  # without one, mails become files in DATA_DIR
    smtp_port: int = Field(587, ge=1, le=65535)
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_username: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_ca_file: str = ""  # beside the system's certificates
    mail_from: str = Field("portal@localhost", pattern=_ADDRESS)

    # Signs what services send to addresses that nobody registered.
    webhook_secret: SecretStr = SecretStr("")
    # Networks that are not public and may be reached all the same: "10.1.0.0/16,127.0.0.0/8".
    webhook_networks: tuple[Network, ...] = ()

    delivery_timeout_seconds: float = Field(15, gt=0, le=120)
    delivery_attempts: int = Field(12, ge=1, le=1000)
    delivery_backoff_seconds: float = Field(5, gt=0, le=3600)

    @field_validator("webhook_networks", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(
            ipaddress.ip_network(text.strip()) for text in value.split(",") if text.strip()
        )
