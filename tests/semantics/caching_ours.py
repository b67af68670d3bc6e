"""What Flask-Caching documents, on the extension."""
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

import os
from functools import partial

from flask import Flask, Response, abort, request

from common.pyportal_common.cache_handlers import Policy, RedisUnavailable
from common.pyportal_common.extension import Portal
from tests.semantics.counter import Counter

_URL = os.environ["REDIS_URL"]


def _app(url=_URL):
    app = Flask("app")
    app.config["REDIS_URL"] = url
    return app, Portal(app)


def equal_calls_share_a_result():
    app, portal = _app()
    count = Counter()

    @portal.cached("double:{number}", ttl=60)
    def double(number):
        count()
        return number * 2

    with app.app_context():
        return [double(2), double(2), double(3), count()]


def positional_and_named_arguments_are_the_same():
    app, portal = _app()
    count = Counter()

    @portal.cached("sum:{a}/{b}", ttl=60)
    def add(a, b=1):
        return count()

    with app.app_context():
        return [add(1, 2), add(1, b=2), add(b=2, a=1)]


def a_default_is_the_same_as_its_value():
    app, portal = _app()
    count = Counter()

    @portal.cached("sum:{a}/{b}", ttl=60)
    def add(a, b=1):
        return count()

    with app.app_context():
        return [add(1), add(1, 1)]


def a_number_and_its_text_are_different():
    app, portal = _app()
    count = Counter()

    @portal.cached("value:{value}", ttl=60)
    def show(value):
        return count()

    with app.app_context():
        return [show(1), show("1")]


def deleting_one_call_keeps_the_others():
    app, portal = _app()
    count = Counter()

    @portal.cached("value:{value}", ttl=60)
    def show(value):
        return count()

    with app.app_context():
        before = [show(1), show(2)]
        show.invalidate(1)
        return [*before, show(1), show(2)]


def a_function_can_be_deleted_with_all_its_results():
    app, portal = _app()
    count = Counter()

    @portal.cached("value:{value}", ttl=60, tags=[])
    def show(value):
        return count()

    with app.app_context():
        before = [show(1), show(2)]
        show.clear()
        return [*before, show(1), show(2)]


def a_method_can_be_deleted_for_one_instance():
    app, portal = _app()
    count = Counter()

    class User:
        def __init__(self, user_id):
            self.user_id = user_id

        @portal.cached(
            lambda self, day: f"visits:{self.user_id}/{day}",
            ttl=60,
            tags=lambda self, day: [f"user:{self.user_id}"],
        )
        def visits(self, day):
            return count()

    with app.app_context():
        ada, alan = User(1), User(2)
        before = [ada.visits("mon"), ada.visits("tue"), alan.visits("mon")]
        portal.invalidate_tag("user:1")
        return [*before, ada.visits("mon"), ada.visits("tue"), alan.visits("mon")]


def instances_have_their_own_results():
    app, portal = _app()
    count = Counter()

    class User:
        def __init__(self, user_id):
            self.user_id = user_id

        @portal.cached(lambda self: f"visits:{self.user_id}", ttl=60)
        def visits(self):
            return count()

    with app.app_context():
        return [User(1).visits(), User(1).visits(), User(2).visits()]


def a_result_expires_after_its_timeout():
    app, portal = _app()

    @portal.cached("value:one", ttl=60)
    def show():
        return "x"

    with app.app_context():
        show()
        return 50_000 < int(portal.redis.execute("PTTL", "value:one")) <= 60_000


def without_a_timeout_five_minutes_apply():
    _, portal = _app()
    return portal.cached("value:one")


def unless_leaves_the_cache_out():
    app, portal = _app()
    count = Counter()

    @portal.cached("value:{value}", ttl=60, unless=lambda value: value == 0)
    def show(value):
        return count()

    with app.app_context():
        return [show(0), show(0), show(1), show(1)]


def none_is_computed_again():
    app, portal = _app()
    count = Counter()

    @portal.cached("found:{value}", ttl=60)
    def find(value):
        count()

    with app.app_context():
        return [find(1), find(1), count()]


def none_is_cached_on_request():
    app, portal = _app()
    count = Counter()

    @portal.cached("found:{value}", policy=Policy(ttl=60, negative_ttl=60))
    def find(value):
        count()

    with app.app_context():
        return [find(1), find(1), count()]


def a_result_can_be_replaced():
    app, portal = _app()
    count = Counter()

    @portal.cached("value:one", ttl=60)
    def show():
        return count()

    with app.app_context():
        return [show(), show(), show.refresh(), show()]


def an_error_is_not_cached():
    app, portal = _app()
    count = Counter()

    @portal.cached("value:one", ttl=60)
    def show():
        if count() == 1:
            raise OSError
        return "found"

    with app.app_context():
        try:
            return show()
        except OSError:
            return show()


def an_argument_can_be_ignored():
    app, portal = _app()
    count = Counter()

    @portal.cached("value:{value}", ttl=60)
    def show(value, trace):
        return count()

    with app.app_context():
        return [show(1, "a"), show(1, "b"), show(2, "b")]


def a_function_can_have_a_key_of_its_own():
    app, portal = _app()
    count = Counter()

    @portal.cached("cities:all", ttl=60)
    def cities():
        return [count()]

    with app.test_request_context():
        return [cities(), cities(), portal.redis.get_json("cities:all")]


def the_function_itself_can_be_called():
    app, portal = _app()
    count = Counter()

    @portal.cached("value:one", ttl=60)
    def show():
        return count()

    with app.app_context():
        return [show(), show.uncached(), show()]


def a_tuple_is_returned_as_it_was():
    app, portal = _app()

    @portal.cached("value:one", ttl=60)
    def show():
        return (1, 2)

    with app.app_context():
        return show()


def a_generator_is_joined():
    _, portal = _app()

    @portal.cached("value:one", ttl=60)
    def show():
        yield "a"


def changing_a_result_does_not_change_the_cache():
    app, portal = _app()

    @portal.cached("value:one", ttl=60)
    def show():
        return [1]

    with app.app_context():
        show().append(2)
        show().append(3)
        return show()


def a_view_is_cached_by_its_path():
    app, portal = _app()
    count = Counter()

    @app.get("/pages/<name>")
    @portal.cached("page:{name}", ttl=60)
    def page(name):
        return {"count": count()}

    client = app.test_client()
    paths = ["/pages/a", "/pages/a", "/pages/b", "/pages/a?x=1"]
    return [client.get(path).json["count"] for path in paths]


def a_query_string_counts_in_any_order():
    app, portal = _app()
    count = Counter()

    @portal.cached("sum:{a}/{b}", ttl=60)
    def total_of(a, b):
        return {"count": count(), "sum": int(a) + int(b)}

    @app.get("/sum")
    def total():
        return total_of(request.args["a"], request.args["b"])

    client = app.test_client()
    paths = ["/sum?a=1&b=2", "/sum?b=2&a=1", "/sum?a=2&b=2"]
    return [client.get(path).json for path in paths]


def a_cached_view_can_be_deleted_by_its_path():
    app, portal = _app()
    count = Counter()

    @app.get("/pages/<name>")
    @portal.cached("page:{name}", ttl=60)
    def page(name):
        return {"count": count()}

    client = app.test_client()
    before = [client.get(path).json["count"] for path in ("/pages/a", "/pages/b")]
    with app.app_context():
        page.invalidate("a")
    return [*before, *(client.get(path).json["count"] for path in ("/pages/a", "/pages/b"))]


def a_response_object_is_cached_with_its_headers():
    app, portal = _app()

    @portal.cached("page:one", ttl=60)
    def page():
        return Response("made", 202, {"X-Made": "yes"})

    with app.app_context():
        return page()


def an_abort_is_cached():
    app, portal = _app()
    count = Counter()

    @app.get("/")
    @portal.cached("page:one", ttl=60)
    def page():
        count()
        abort(404)

    client = app.test_client()
    return [client.get("/").status_code, client.get("/").status_code, count()]


def values_can_be_set_and_deleted():
    app, portal = _app()
    with app.app_context():
        portal.redis.set_json("color", {"name": "red"}, ttl=60)
        found = portal.redis.get_json("color")
        portal.redis.delete("color")
        return [found, portal.redis.get_json("color")]


def many_values_are_read_together():
    app, portal = _app()
    with app.app_context():
        portal.redis.set_many({"a": 1, "b": 2}, ttl=60)
        return portal.redis.get_many(["a", "missing", "b"])


def add_keeps_what_is_there():
    app, portal = _app()
    with app.app_context():
        portal.redis.execute("SET", "color", "red", "NX", "EX", 60)
        portal.redis.execute("SET", "color", "blue", "NX", "EX", 60)
        return portal.redis.get("color")


def clear_removes_the_values_of_the_cache():
    app, portal = _app()
    with app.app_context():
        portal.redis.set("of another app", "1", ttl=60)
        color = partial(portal.cache.get_or_load, "color", policy=Policy(ttl=60), tags=["all"])
        color(lambda: "red")
        portal.invalidate_tag("all")
        return [color(lambda: None), portal.redis.exists("of another app")]


def the_function_runs_while_redis_is_dead():
    app, portal = _app("redis://127.0.0.1:1")

    @portal.cached("value:one", ttl=60)
    def show():
        return "computed"

    with app.app_context():
        return show()


def deleting_fails_while_redis_is_dead():
    app, portal = _app("redis://127.0.0.1:1")

    @portal.cached("value:{value}", ttl=60)
    def show(value):
        return "computed"

    with app.app_context():
        try:
            return show.invalidate(1)
        except RedisUnavailable:
            return "an error"
