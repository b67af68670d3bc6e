"""Logins and baskets in `flask.session`: Flask-Session and PORTAL_SESSION."""
