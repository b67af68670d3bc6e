"""What the documents of the extensions say, as results of the functions beside this.

`theirs` is what the extension does, `ours` what we do: the same, something else on purpose, or
nothing, where we lack it. The pages in docs/migrating list the last two.
"""

from dataclasses import dataclass
from typing import Any

SAME = object()
MISSING = object()


@dataclass(frozen=True)
class Behaviour:
    """A documented behaviour: the results of the functions of its name."""

    documented: str
    theirs: Any
    ours: Any = SAME

    @property
    def expected(self) -> Any:
        """What our function returns."""
        return self.theirs if self.ours is SAME else self.ours


B = Behaviour

CACHING = {
    "equal_calls_share_a_result": B("memoize: equal arguments, one result", [4, 4, 6, 3]),
    "positional_and_named_arguments_are_the_same": B("named arguments are ordered", [1, 1, 1]),
    "a_default_is_the_same_as_its_value": B("defaults count as arguments", [1, 1]),
    "a_number_and_its_text_are_different": B("arguments by their repr", [1, 2], [1, 1]),
    "deleting_one_call_keeps_the_others": B("delete_memoized(f, arguments)", [1, 2, 3, 2]),
    "a_function_can_be_deleted_with_all_its_results": B(
        "delete_memoized(f) forgets every result", [1, 2, 3, 4]
    ),
    "a_method_can_be_deleted_for_one_instance": B(
        "delete_memoized(instance.method)", [1, 2, 3, 4, 5, 3]
    ),
    "instances_have_their_own_results": B("self is an argument, by its repr", [1, 1, 2]),
    "a_result_expires_after_its_timeout": B("timeout, in seconds", True),
    "without_a_timeout_five_minutes_apply": B("CACHE_DEFAULT_TIMEOUT is 300", 300, "TypeError"),
    "unless_leaves_the_cache_out": B("unless may take the arguments", [1, 2, 3, 3]),
    "none_is_computed_again": B("None is not cached", [None, None, 3], [None, None, 2]),
    "none_is_cached_on_request": B("cache_none=True", [None, None, 2]),
    "a_result_can_be_replaced": B("forced_update", [1, 1, 2, 2]),
    "a_filter_decides_what_is_stored": B("response_filter", [1, 2, 2], MISSING),
    "an_error_is_not_cached": B("an exception passes through", "found"),
    "an_argument_can_be_ignored": B("args_to_ignore", [1, 1, 2]),
    "a_function_can_have_a_key_of_its_own": B("key_prefix", [[1], [1], [1]]),
    "the_function_itself_can_be_called": B("uncached", [1, 2, 1]),
    "a_tuple_is_returned_as_it_was": B("values are pickled", ["tuple", "tuple"], "TypeError"),
    "a_generator_is_joined": B("generators are joined to a text", ["ab", "ab"], "TypeError"),
    "changing_a_result_does_not_change_the_cache": B("results are copies", [1]),
    "a_view_is_cached_by_its_path": B("cached: by request.path", [1, 1, 2, 1]),
    "a_query_string_counts_in_any_order": B(
        "query_string=True",
        [{"count": 1, "sum": 3}, {"count": 1, "sum": 3}, {"count": 2, "sum": 4}],
    ),
    "a_cached_view_can_be_deleted_by_its_path": B("delete_cached(view, path=)", [1, 2, 3, 2]),
    "a_response_object_is_cached_with_its_headers": B(
        "responses are cached whole", [[202, "yes"], [202, "yes"]], "TypeError"
    ),
    "an_abort_is_cached": B("abort() is cached since 2.5", [404, 404, 2], [404, 404, 3]),
    "values_can_be_set_and_deleted": B("set, get, delete", [{"name": "red"}, None]),
    "many_values_are_read_together": B("get_many: a list", [1, None, 2], {"a": "1", "b": "2"}),
    "add_keeps_what_is_there": B("add", "red"),
    "clear_removes_the_values_of_the_cache": B("clear", [None, 1]),
    "the_function_runs_while_redis_is_dead": B("errors of the backend are logged", "computed"),
    "deleting_fails_while_redis_is_dead": B("a delete raises them", "an error"),
}

LIMITS = {
    "a_request_over_the_limit_is_refused": B("429", [200, 200, 429]),
    "endpoints_have_their_own_counts": B("a count for each endpoint", [200, 200, 429, 429]),
    "a_shared_limit_counts_its_endpoints_together": B("shared_limit", [200, 429]),
    "several_limits_all_apply": B('"100/hour; 2/minute"', [200, 200, 429]),
    "decorators_add_up": B("several decorators", [200, 200, 429]),
    "a_limit_can_be_a_function": B("dynamic limits", [200, 429]),
    "an_exempt_request_is_not_counted": B("exempt_when", [200, 200, 200, 429, 200]),
    "methods_can_be_chosen": B("methods", [200, 429, 200, 200]),
    "methods_can_have_their_own_counts": B("per_method", [200, 200, 429, 429]),
    "a_request_can_cost_more": B("cost", [200, 200, 429]),
    "a_cost_can_be_a_function": B("cost=function", [200, 429]),
    "a_cost_over_the_limit_is_refused": B(
        "a cost over the limit never passes", [429, 429], "ValueError"
    ),
    "a_refused_request_costs_something": B(
        "fixed-window counts a refused cost", [200, 429, 429], [200, 429, 200]
    ),
    "one_limit_is_charged_though_another_refuses": B(
        "limits are charged one after the other", [200, 429, 429, 429], [200, 429, 429, 200]
    ),
    "callers_are_counted_apart": B("key_func", [200, 200, 429, 429]),
    "a_caller_without_a_key_is_not_limited": B(
        "an empty key skips the limit", [200, 200], [200, 429]
    ),
    "a_limit_of_the_application_counts_all_endpoints": B("application_limits", [200, 200, 429]),
    "a_view_can_be_exempt": B("exempt", [200, 200, 200, 429]),
    "default_limits_apply_where_a_view_has_none": B(
        "default_limits", [200, 429, 200, 200, 200, 429]
    ),
    "a_filter_exempts_requests_everywhere": B("request_filter", [200, 429, 200]),
    "a_blueprint_can_be_limited": B("limit(blueprint)", [200, 200, 429]),
    "a_view_class_can_be_limited": B("decorators of a MethodView", [200, 429]),
    "a_block_can_be_limited": B("with limiter.limit():", [200, 202]),
    "headers_say_what_is_left": B("X-RateLimit-Limit, -Remaining", ["2", "1"]),
    "the_reset_header_is_a_time": B("X-RateLimit-Reset: epoch", "a time", "seconds"),
    "every_response_has_retry_after": B(
        "Retry-After with headers_enabled", [True, True], [False, True]
    ),
    "headers_are_sent_by_default": B("headers_enabled is False", False, True),
    "an_error_handler_makes_the_429": B("errorhandler(429)", {"error": "slow down"}),
    "a_limit_can_have_its_own_message": B("error_message", True),
    "only_some_responses_are_charged": B("deduct_when", [200, 200], MISSING),
    "a_wrong_rate_is_found_at_once": B("a malformed limit is logged", [200], "when it is declared"),
    "without_redis_a_limited_view_fails": B("errors of the storage are raised", [500], [200]),
    "memory_can_take_over_without_redis": B("in_memory_fallback_enabled", [200, 429]),
    "errors_can_be_swallowed_without_redis": B("swallow_errors", [200, 200]),
    "limits_can_be_switched_off": B("RATELIMIT_ENABLED", [200, 200]),
    "a_caller_that_is_refused_often_can_be_locked_out": B(
        "meta_limits", [200, 429, 429, 429], MISSING
    ),
    "a_view_can_see_its_limit": B("current_limit", {"remaining": 4}),
    "all_limits_can_be_reset": B("reset", [200, 429, 200]),
}

SESSIONS = {
    "entries_are_there_in_the_next_request": B("flask.session", {"city": "Bern", "name": "ada"}),
    "clients_have_their_own_sessions": B(
        "one for each client", [{"name": "ada"}, {"name": "alan"}]
    ),
    "a_client_without_entries_gets_no_cookie": B("empty sessions are not stored", [[""], [""]]),
    "clearing_ends_the_session_and_its_cookie": B("session.clear()", [{}, None, 0]),
    "removing_the_last_entry_ends_the_session": B("an emptied session is deleted", [{}, None]),
    "a_change_within_a_list_is_stored": B(
        "SESSION_REFRESH_EACH_REQUEST stores everything", {"items": ["lamp", "chair"]}
    ),
    "a_change_within_a_list_needs_modified_without_refresh": B(
        "without it, session.modified", {"items": ["lamp"]}, {"items": ["lamp", "chair"]}
    ),
    "the_cookie_is_as_the_app_configures_it": B(
        "SESSION_COOKIE_*", ["HttpOnly", "Path=/", "SameSite=Strict", "Secure", "session2"]
    ),
    "a_session_is_permanent_by_default": B("SESSION_PERMANENT is True", True, False),
    "a_permanent_session_has_a_cookie_that_expires": B("session.permanent", True),
    "a_session_lasts_as_long_as_flask_says": B("PERMANENT_SESSION_LIFETIME", 600, 3600),
    "a_use_extends_the_session": B("each request extends it", True),
    "an_id_that_a_client_chose_is_not_used": B("unknown ids are replaced", False),
    "the_id_can_be_replaced": B("regenerate", [{"name": "ada", "user": 7}, {}]),
    "setting_a_user_keeps_the_id": B("the id changes by regenerate only", True),
    "the_view_can_read_the_id": B("session.sid", True),
    "a_tuple_becomes_a_list": B("msgspec", "list", "tuple"),
    "a_datetime_stays_one": B("msgspec", "datetime"),
    "bytes_stay_bytes": B("msgspec", "bytes"),
    "a_uuid_becomes_a_text": B("msgspec", "str", "UUID"),
    "a_set_becomes_a_list": B("msgspec", "list", "an error"),
    "an_object_of_a_class_fails": B("msgspec", "an error"),
    "responses_that_depend_on_the_session_vary_by_cookie": B("Vary", ["Cookie", "Cookie"]),
    "a_request_that_does_not_use_the_session_sends_its_cookie_again": B(
        "permanent sessions are refreshed", True, False
    ),
    "without_redis_every_request_fails": B("the session is opened always", 500, 200),
    "without_redis_a_request_with_a_session_fails": B("errors are raised", 500, 503),
    "tests_can_open_the_session": B("session_transaction()", {"name": "ada"}),
}

OTHERS = {
    "an_invalidation_during_a_load_holds": B(
        "invalidate removes the value", "the old price", "the new price"
    ),
    "processes_that_miss_together_load_once": B("without distributed_lock", 2, 1),
    "every_key_expires": B("redis_expiration_time", False, True),
}

ALL = {"caching": CACHING, "limits": LIMITS, "sessions": SESSIONS, "others": OTHERS}
