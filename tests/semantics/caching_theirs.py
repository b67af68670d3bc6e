"""Flask-Caching, used as its documents describe it."""
# mypy: disable-error-code="untyped-decorator, no-untyped-def, no-untyped-call, attr-defined"

import os

from flask import Flask, Response, abort, request
from flask_caching import Cache
from redis import Redis, RedisError

from tests.semantics.counter import Counter

_URL = os.environ["REDIS_URL"]


def _app(**config):
    app = Flask("app")
    app.config.update(CACHE_TYPE="RedisCache", CACHE_REDIS_URL=_URL, **config)
    return app, Cache(app)


def equal_calls_share_a_result():
    app, cache = _app()
    count = Counter()

    @cache.memoize(timeout=60)
    def double(number):
        count()
        return number * 2

    with app.app_context():
        return [double(2), double(2), double(3), count()]


def positional_and_named_arguments_are_the_same():
    app, cache = _app()
    count = Counter()

    @cache.memoize(timeout=60)
    def add(a, b=1):
        return count()

    with app.app_context():
        return [add(1, 2), add(1, b=2), add(b=2, a=1)]


def a_default_is_the_same_as_its_value():
    app, cache = _app()
    count = Counter()

    @cache.memoize(timeout=60)
    def add(a, b=1):
        return count()

    with app.app_context():
        return [add(1), add(1, 1)]


def a_number_and_its_text_are_different():
    app, cache = _app()
    count = Counter()

    @cache.memoize(timeout=60)
    def show(value):
        return count()

    with app.app_context():
        return [show(1), show("1")]


def deleting_one_call_keeps_the_others():
    app, cache = _app()
    count = Counter()

    @cache.memoize(timeout=60)
    def show(value):
        return count()

    with app.app_context():
        before = [show(1), show(2)]
        cache.delete_memoized(show, 1)
        return [*before, show(1), show(2)]


def a_function_can_be_deleted_with_all_its_results():
    app, cache = _app()
    count = Counter()

    @cache.memoize(timeout=60)
    def show(value):
        return count()

    with app.app_context():
        before = [show(1), show(2)]
        cache.delete_memoized(show)
        return [*before, show(1), show(2)]


def a_method_can_be_deleted_for_one_instance():
    app, cache = _app()
    count = Counter()

    class User:
        def __init__(self, user_id):
            self.user_id = user_id

        def __repr__(self):
            return f"User {self.user_id}"

        @cache.memoize(timeout=60)
        def visits(self, day):
            return count()

    with app.app_context():
        ada, alan = User(1), User(2)
        before = [ada.visits("mon"), ada.visits("tue"), alan.visits("mon")]
        cache.delete_memoized(ada.visits)
        return [*before, ada.visits("mon"), ada.visits("tue"), alan.visits("mon")]


def instances_have_their_own_results():
    app, cache = _app()
    count = Counter()

    class User:
        def __init__(self, user_id):
            self.user_id = user_id

        def __repr__(self):
            return f"User {self.user_id}"

        @cache.memoize(timeout=60)
        def visits(self):
            return count()

    with app.app_context():
        return [User(1).visits(), User(1).visits(), User(2).visits()]


def a_result_expires_after_its_timeout():
    app, cache = _app()

    @cache.memoize(timeout=60)
    def show():
        return "x"

    with app.app_context():
        show()
    with Redis.from_url(_URL) as redis:
        return all(50_000 < redis.pttl(key) <= 60_000 for key in redis.scan_iter("*"))


def without_a_timeout_five_minutes_apply():
    app, cache = _app()

    @cache.memoize()
    def show():
        return "x"

    with app.app_context():
        show()
    with Redis.from_url(_URL) as redis:
        return max(redis.ttl(key) for key in redis.scan_iter("*"))


def unless_leaves_the_cache_out():
    app, cache = _app()
    count = Counter()

    @cache.memoize(timeout=60, unless=lambda f, value: value == 0)
    def show(value):
        return count()

    with app.app_context():
        return [show(0), show(0), show(1), show(1)]


def none_is_computed_again():
    app, cache = _app()
    count = Counter()

    @cache.memoize(timeout=60)
    def find(value):
        count()

    with app.app_context():
        return [find(1), find(1), count()]


def none_is_cached_on_request():
    app, cache = _app()
    count = Counter()

    @cache.memoize(timeout=60, cache_none=True)
    def find(value):
        count()

    with app.app_context():
        return [find(1), find(1), count()]


def a_result_can_be_replaced():
    app, cache = _app()
    count = Counter()
    force: list[bool] = []

    @cache.memoize(timeout=60, forced_update=lambda *_: bool(force))
    def show():
        return count()

    with app.app_context():
        before = [show(), show()]
        force.append(True)
        replaced = show()
        force.clear()
        return [*before, replaced, show()]


def a_filter_decides_what_is_stored():
    app, cache = _app()
    count = Counter()

    @cache.memoize(timeout=60, response_filter=lambda result: result > 1)
    def show():
        return count()

    with app.app_context():
        return [show(), show(), show()]


def an_error_is_not_cached():
    app, cache = _app()
    count = Counter()

    @cache.memoize(timeout=60)
    def show():
        if count() == 1:
            raise OSError
        return "found"

    with app.app_context():
        try:
            show()
        except OSError:
            return show()


def an_argument_can_be_ignored():
    app, cache = _app()
    count = Counter()

    @cache.memoize(timeout=60, args_to_ignore=["trace"])
    def show(value, trace):
        return count()

    with app.app_context():
        return [show(1, "a"), show(1, "b"), show(2, "b")]


def a_function_can_have_a_key_of_its_own():
    app, cache = _app()
    count = Counter()

    @cache.cached(timeout=60, key_prefix="all_cities")
    def cities():
        return [count()]

    with app.test_request_context():
        return [cities(), cities(), cache.get("all_cities")]


def the_function_itself_can_be_called():
    app, cache = _app()
    count = Counter()

    @cache.memoize(timeout=60)
    def show():
        return count()

    with app.app_context():
        return [show(), show.uncached(), show()]


def a_tuple_is_returned_as_it_was():
    app, cache = _app()

    @cache.memoize(timeout=60)
    def show():
        return (1, 2)

    with app.app_context():
        return [type(show()).__name__, type(show()).__name__]


def a_generator_is_joined():
    app, cache = _app()

    @cache.memoize(timeout=60)
    def show():
        yield "a"
        yield "b"

    with app.app_context():
        return [show(), show()]


def changing_a_result_does_not_change_the_cache():
    app, cache = _app()

    @cache.memoize(timeout=60)
    def show():
        return [1]

    with app.app_context():
        show().append(2)
        show().append(3)
        return show()


def a_view_is_cached_by_its_path():
    app, cache = _app()
    count = Counter()

    @app.get("/pages/<name>")
    @cache.cached(timeout=60)
    def page(name):
        return {"count": count()}

    client = app.test_client()
    paths = ["/pages/a", "/pages/a", "/pages/b", "/pages/a?x=1"]
    return [client.get(path).json["count"] for path in paths]


def a_query_string_counts_in_any_order():
    app, cache = _app()
    count = Counter()

    @app.get("/sum")
    @cache.cached(timeout=60, query_string=True)
    def total():
        return {"count": count(), "sum": int(request.args["a"]) + int(request.args["b"])}

    client = app.test_client()
    paths = ["/sum?a=1&b=2", "/sum?b=2&a=1", "/sum?a=2&b=2"]
    return [client.get(path).json for path in paths]


def a_cached_view_can_be_deleted_by_its_path():
    app, cache = _app()
    count = Counter()

    @app.get("/pages/<name>")
    @cache.cached(timeout=60)
    def page(name):
        return {"count": count()}

    client = app.test_client()
    before = [client.get(path).json["count"] for path in ("/pages/a", "/pages/b")]
    with app.app_context():
        cache.delete_cached(page, path="/pages/a")
    return [*before, *(client.get(path).json["count"] for path in ("/pages/a", "/pages/b"))]


def a_response_object_is_cached_with_its_headers():
    app, cache = _app()

    @app.get("/")
    @cache.cached(timeout=60)
    def page():
        return Response("made", 202, {"X-Made": "yes"})

    client = app.test_client()
    answers = [client.get("/"), client.get("/")]
    return [[each.status_code, each.headers.get("X-Made")] for each in answers]


def an_abort_is_cached():
    app, cache = _app()
    count = Counter()

    @app.get("/")
    @cache.cached(timeout=60)
    def page():
        count()
        abort(404)

    client = app.test_client()
    return [client.get("/").status_code, client.get("/").status_code, count()]


def values_can_be_set_and_deleted():
    app, cache = _app()
    with app.app_context():
        cache.set("color", {"name": "red"}, timeout=60)
        found = cache.get("color")
        cache.delete("color")
        return [found, cache.get("color")]


def many_values_are_read_together():
    app, cache = _app()
    with app.app_context():
        cache.set_many({"a": 1, "b": 2}, timeout=60)
        return list(cache.get_many("a", "missing", "b"))


def add_keeps_what_is_there():
    app, cache = _app()
    with app.app_context():
        cache.add("color", "red", timeout=60)
        cache.add("color", "blue", timeout=60)
        return cache.get("color")


def clear_removes_the_values_of_the_cache():
    app, cache = _app()
    with Redis.from_url(_URL) as redis, app.app_context():
        redis.set("of another app", "1")
        cache.set("color", "red")
        cache.clear()
        return [cache.get("color"), redis.exists("of another app")]


def the_function_runs_while_redis_is_dead():
    app = Flask("app")
    app.config.update(CACHE_TYPE="RedisCache", CACHE_REDIS_URL="redis://127.0.0.1:1")
    cache = Cache(app)

    @cache.memoize(timeout=60)
    def show():
        return "computed"

    with app.app_context():
        return show()


def deleting_fails_while_redis_is_dead():
    app = Flask("app")
    app.config.update(CACHE_TYPE="RedisCache", CACHE_REDIS_URL="redis://127.0.0.1:1")
    cache = Cache(app)

    @cache.memoize(timeout=60)
    def show(value):
        return "computed"

    with app.app_context():
        try:
            cache.delete_memoized(show, 1)
        except RedisError:
            return "an error"
