"""Second factors: authenticator apps, passkeys and backup codes."""
