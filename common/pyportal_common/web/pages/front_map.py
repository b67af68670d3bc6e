"""Which pages of the front belong to which service: the navigation, and links across ports."""

from dataclasses import dataclass

FRONT = "front"  # in an app's extensions, if it has pages

USERS, TASKS, NOTIFICATIONS = "User Management", "Task Processing", "Notification"


@dataclass(frozen=True, slots=True)
class Area:
    """Pages below a path, and below others, which belong to the service with that title."""

    text: str
    path: str
    service: str
    others: tuple[str, ...] = ()

    def has(self, path: str) -> bool:
        """Whether a path is one of its pages."""
        return any(
            path == each or path.startswith(f"{each}/") for each in (self.path, *self.others)
        )


AREAS = (
    Area("Flights", "/app/flights", TASKS),
    Area("My bookings", "/app/bookings", TASKS),
    Area("Inbox", "/app/inbox", NOTIFICATIONS),
    Area("Preferences", "/app/preferences", NOTIFICATIONS),
    Area("Webhooks", "/app/webhooks", NOTIFICATIONS),
    Area("Profile", "/app/profile", USERS, ("/app/password", "/app/factors")),
    Area("Devices", "/app/devices", USERS),
)


def owner_of(path: str) -> str:
    """The title of the service that has a page. Those outside the areas are about accounts."""
    return next((area.service for area in AREAS if area.has(path)), USERS)
