"""The service's variables."""

import ipaddress
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from common.pyportal_common.admin_settings import AdminSettings
from common.pyportal_common.cache_handlers import RateLimit

# One address without a name, in the usual subset of RFC 5321: it is used in headers unchanged.
_ADDRESS = r"^[A-Za-z0-9.!#$%&'*+/=^_`{|}~-]+@[A-Za-z0-9.-]+$"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class NotificationSettings(AdminSettings):
    """The variables of deliveries, and those of every service."""

    rate_limit_notifications: RateLimit = RateLimit("notifications", limit=60, window=60)
    # Per domain of e-mail addresses, or host of webhooks. Deliveries over the limit are postponed.
    rate_limit_deliveries: RateLimit = RateLimit("deliveries", limit=600, window=60)

    smtp_host: str = ""  # if empty, e-mails are written to files in DATA_DIR
    smtp_port: int = Field(587, ge=1, le=65535)
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_username: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_ca_file: str = ""  # in addition to the system's certificates
    mail_from: str = Field(
        "portal@localhost",
        pattern=_ADDRESS,
        description="an address without a name, as in portal@example.com",
    )

    # Signs what services send to URLs that no user registered.
    webhook_secret: SecretStr = SecretStr("")
    # Networks that are not public but allowed: "10.1.0.0/16,127.0.0.0/8".
    webhook_networks: tuple[Network, ...] = ()

    # In optional e-mails: the address at which mail programs reach POST /notifications/unsubscribe.
    # If empty, that path of PUBLIC_URL.
    unsubscribe_url: str = Field("", pattern=r"^(https?://[!-;=?-~]+)?$")

    # How long notifications are kept after their end. A service may repeat a request for a month,
    # and its notification must be recognised then.
    notification_days: int = Field(365, ge=60, le=36500)
    # How long events of webhooks are kept, with their deliveries.
    event_days: int = Field(30, ge=30, le=365)

    delivery_timeout_seconds: float = Field(15, gt=0, le=120)
    delivery_attempts: int = Field(12, ge=1, le=1000)
    delivery_backoff_seconds: float = Field(5, gt=0, le=3600)

    @property
    def effective_unsubscribe_url(self) -> str:
        """UNSUBSCRIBE_URL, or its default."""
        path = "/api/v1/airliner/notifications/unsubscribe"
        return self.unsubscribe_url or self.public_url + path

    @field_validator("webhook_networks", mode="before")
    @classmethod
    def _parse_networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(
            ipaddress.ip_network(text.strip()) for text in value.split(",") if text.strip()
        )
