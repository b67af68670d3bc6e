"""The webhooks that users register."""
