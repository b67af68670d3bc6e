"""Events: what happened to a user, as webhooks receive it."""
