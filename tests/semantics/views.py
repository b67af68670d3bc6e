"""Views for the limits, and the statuses of requests to them."""
# mypy: disable-error-code="no-untyped-def, no-untyped-call"


def statuses(app, *requests):
    """The statuses of requests, given as "GET /path" and headers."""
    client = app.test_client()
    found = []
    for each in requests:
        line, headers = each if isinstance(each, tuple) else (each, {})
        method, path = line.split()
        found.append(client.open(path, method=method, headers=headers).status_code)
    return found


def views(app, *decorators, paths=("/a", "/b"), methods=("GET", "POST")):
    """Views of these paths that have the decorators."""
    for path in paths:
        view = _view(path)
        for decorator in decorators:
            view = decorator(view)
        app.add_url_rule(path, view_func=view, methods=methods)


def _view(path):
    def view():
        return path

    view.__name__ = view.__qualname__ = path.strip("/")
    return view
