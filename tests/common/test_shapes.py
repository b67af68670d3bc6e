"""The forms of cached values: what fits them, what is a miss, and what redis-cli shows."""

import json
import logging
from typing import Any

import pytest

from common.pyportal_common.cache_handlers import Cache, JsonValue, Policy, RedisClient, keys
from common.pyportal_common.cache_handlers.cache.shapes import (
    Document,
    DocumentArray,
    Number,
    PlainJson,
    Shape,
)

USER = {"id": 7, "name": 'José {"_v":3,', "tags": []}
TEXT = '{"_v":3,"id":7,"name":"Jos\\u00e9 {\\"_v\\":3,","tags":[]}'

DOCUMENT = Document(3, frozenset(USER))
ARRAY = DocumentArray(DOCUMENT)

NEVER_FITS = [
    "",
    "not json",
    "\udcff\udcfe",  # bytes that are not UTF-8, as the client returns them
    '"\udcff"',
    '{"name": "\udcff"}',
    "NaN",
    "-Infinity",
    "1e999",
    "9" * 5000,
    "[" * 100_000,
    '{"a":' * 100_000,
]
OTHER_SHAPES = ["{}", '{"a":1}', '{"a":1,"a":2}', '"x"', "true", "-1", "1.5", "07", "1" * 19, "٣"]


def short(text: str) -> str:
    """The name of a case."""
    return ascii(text[:12])


@pytest.fixture
def cache(redis_client: RedisClient) -> Cache:
    return Cache(redis_client)


NESTED = {"id": 7, "name": {"_v": 3, "x": 1.0}, "tags": []}


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        (PlainJson(), USER),
        (PlainJson(), None),
        (PlainJson(), [1.50, "é", {}]),
        (DOCUMENT, USER),
        (DOCUMENT, NESTED),
        (DOCUMENT, None),
        (ARRAY, [USER, USER]),
        (ARRAY, [NESTED, USER]),
        (ARRAY, []),
        (Number(), 7),
    ],
)
def test_a_value_is_found_with_its_text_without_versions(
    cache: Cache, redis_client: RedisClient, shape: Shape, value: Any
) -> None:
    policy = Policy(ttl=60, shape=shape)

    missed = cache.find("k", lambda: value, policy)
    hit = cache.find("k", lambda: "not called", policy)

    assert redis_client.get("k") == shape.encode(value)
    assert missed == hit
    assert hit.value == value
    assert hit.text == json.dumps(value, separators=(",", ":"))


def test_a_page_of_a_found_array_keeps_its_text_unless_there_are_more(cache: Cache) -> None:
    items = [{"id": 3}, {"id": 2}, {"id": 1}]

    found = cache.find("k", lambda: items, Policy(ttl=60))

    for size, following in ((4, None), (3, None), (2, "2")):
        page = found.first_page(size, cursor="id")
        assert page.value == {"items": items[:size], "next": following}
        assert page.text == json.dumps(page.value, separators=(",", ":"))
    assert JsonValue.of([]).first_page(3, cursor="id").text == '{"items":[],"next":null}'


@pytest.mark.parametrize(
    ("shape", "value", "text"),
    [
        (PlainJson(), USER, TEXT.replace('"_v":3,', "", 1)),
        (DOCUMENT, USER, TEXT),
        (DOCUMENT, None, "null"),
        (ARRAY, [USER, USER], f"[{TEXT},{TEXT}]"),
        (ARRAY, [], "[]"),
        (Number(), 0, "0"),
        (Number(), 10**18 - 1, "9" * 18),
        (Number(), None, "null"),
    ],
)
def test_a_value_is_read_as_it_was_written(shape: Shape, value: Any, text: str) -> None:
    assert shape.encode(value) == text
    assert shape.decode(text) == value


@pytest.mark.parametrize("shape", [PlainJson(), DOCUMENT, ARRAY, Number()], ids=repr)
@pytest.mark.parametrize("text", NEVER_FITS, ids=short)
def test_what_is_not_json_never_fits(shape: Shape, text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  also those of the json module
        shape.decode(text)


@pytest.mark.parametrize(
    ("shape", "texts"),
    [
        (
            DOCUMENT,
            [*OTHER_SHAPES, "7", "[]", TEXT.replace("3", "2", 1), f"[{TEXT}]", '{"_v":3,"id":7}'],
        ),
        (DOCUMENT, [TEXT.replace('"_v":3', '"_v": 3'), TEXT[:-1], TEXT + "x", '{"_v":3,}']),
        (
            ARRAY,
            [*OTHER_SHAPES, "7", "null", TEXT, f'[{TEXT},{{"id":7}}]', f"[{TEXT},[]]", f"[{TEXT}"],
        ),
        (Number(), [*OTHER_SHAPES, "[]", TEXT, " 7", "7\n"]),
    ],
)
def test_json_of_another_shape_does_not_fit(shape: Shape, texts: list[str]) -> None:
    for text in texts:
        with pytest.raises(ValueError):  # noqa: PT011
            shape.decode(text)


def test_a_document_is_cut_without_parsing() -> None:
    assert DOCUMENT.cut(TEXT) == TEXT.replace('"_v":3,', "", 1)
    assert DOCUMENT.cut('{"_v":3,anything') == "{anything"


def test_a_document_without_fields_cannot_be_stored() -> None:
    with pytest.raises(ValueError, match="fields"):
        DOCUMENT.encode({})


class TestInRedis:
    POLICY = Policy(ttl=60, shape=DOCUMENT)

    def load(self) -> dict[str, Any]:
        return USER

    def test_redis_cli_shows_the_version_and_helpers_hide_it(self, cache: Cache) -> None:
        key = keys.user(7)
        assert cache.get_or_load(key, self.load, self.POLICY) == USER

        assert cache.client.get(key) == TEXT
        assert cache.get(key) == USER
        assert cache.client.get_json(key) == USER
        assert cache.get_or_load(key, lambda: pytest.fail("a miss"), self.POLICY) == USER

    def test_helpers_hide_the_versions_in_an_array(self, cache: Cache) -> None:
        policy = Policy(ttl=60, shape=ARRAY)
        cache.get_or_load("users:7", lambda: [USER, USER], policy)

        assert cache.get("users:7") == [USER, USER]
        assert cache.client.get_json("users:7") == [USER, USER]

    @pytest.mark.parametrize(
        "value",
        [
            {"_v": 3, "a": 1},
            [{"_v": 3, "a": 1}, {"_v": 3, "b": 1}],
            ({"_v": 3, "a": [{"_v": 3, "b": 1}]},),
            {"_v": "3", "a": 1},
            {"a": 1, "_v": 3},
            {"_v": 3},
            [1, {"_v": 3}],
            {"a": {"_v": 3, "b": 1}},
        ],
    )
    def test_other_values_of_the_guide_are_returned_unchanged(
        self, cache: Cache, value: object
    ) -> None:
        stored = list(value) if isinstance(value, tuple) else value

        cache.put("user:7", value, ttl=60)
        assert cache.get("user:7") == stored

        cache.client.set_json("user:7", value)
        assert cache.client.get_json("user:7") == stored

    def test_versions_within_documents_are_kept(self, cache: Cache) -> None:
        document = {**USER, "inner": [{"_v": DOCUMENT.version, "a": 1}]}
        policy = Policy(ttl=60, shape=ARRAY)
        cache.get_or_load("users:7", lambda: [document, document], policy)

        assert cache.get("users:7") == [document, document]
        assert cache.get_or_load("users:7", list, policy) == [document, document]

    @pytest.mark.parametrize("ttl", [60, None])
    @pytest.mark.parametrize(
        "odd", [*NEVER_FITS, *OTHER_SHAPES, "[]", "7", '{"_v":2,"id":7}'], ids=short
    )
    def test_what_does_not_fit_is_a_miss_and_is_replaced(
        self, cache: Cache, odd: str, ttl: float | None
    ) -> None:
        cache.client.set("user:7", odd.encode("utf-8", "surrogateescape"), ttl=ttl)

        assert cache.get_or_load("user:7", self.load, self.POLICY) == USER

        assert cache.client.get("user:7") == TEXT
        assert cache.client.ttl("user:7") > 0

    def test_what_was_filled_by_another_release_during_a_miss_is_replaced(
        self, cache: Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cache.client, "get_with_ttl", lambda _: (None, -2))
        cache.client.set("user:7", '{"_v":2,"id":7}', ttl=60)

        assert cache.get_or_load("user:7", self.load, self.POLICY) == USER
        assert cache.client.get("user:7") == TEXT

    def test_several_values_are_read_by_their_shape(self, cache: Cache) -> None:
        cache.client.set_many({"a": TEXT, "b": "[]", "c": b"\xff"}, ttl=60)

        found = cache.get_many_or_load(
            ["a", "b", "c"],
            lambda missing: {key: {**USER, "id": 8} for key in missing},
            self.POLICY,
        )

        assert [found[name]["id"] for name in "abc"] == [7, 8, 8]
        assert [cache.get(name)["id"] for name in "abc"] == [7, 8, 8]

    def test_odd_values_are_logged_once_a_minute_by_their_kind(
        self, cache: Cache, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING):
            for number in range(5):
                cache.client.set(f"user:{number}", "secret odd value")
                cache.get(f"user:{number}")

        (line,) = caplog.messages
        assert "Redis" in line
        assert "user" in line
        assert "secret" not in line


class TestOddTypes:
    """Keys of the cache that hold another type than ours, or never expire."""

    POLICY = Policy(ttl=60, wait=5)

    @pytest.mark.parametrize("name", ["value", "lease", "fence"])
    @pytest.mark.parametrize(
        "command",
        [("SET", "x"), ("HSET", "a", "b"), ("RPUSH", "x"), ("ZADD", "1e15", "x"), ("SADD", "x")],
    )
    def test_they_give_way_and_the_value_is_cached_again(
        self, cache: Cache, name: str, command: tuple[str, ...]
    ) -> None:
        key = {"value": "k", "lease": keys.lease("k"), "fence": keys.fence("k")}[name]
        cache.client.execute(command[0], key, *command[1:])
        if name != "value":
            assert cache.get_or_load("k", lambda: 1, self.POLICY) == 1
        else:
            cache.invalidate("k")

        assert cache.get_or_load("k", lambda: 2, self.POLICY) in (1, 2)
        assert cache.client.ttl("k") > 0

    @pytest.mark.parametrize("command", [("SET", "x"), ("HSET", "a", "b"), ("RPUSH", "x")])
    def test_a_writer_fences_all_the_same(self, cache: Cache, command: tuple[str, ...]) -> None:
        for key in ("k", keys.lease("k"), keys.fence("k")):
            cache.client.execute(command[0], key, *command[1:])

        fence = cache.fence(["k"])
        assert cache.get_or_load("k", lambda: 1, self.POLICY) == 1
        assert cache.client.exists("k") == 0  # nothing is filled under a fence

        cache.client.delete(keys.fence("k"))
        cache.client.execute(command[0], keys.fence("k"), *command[1:])
        cache.unfence(fence)
        assert cache.get_or_load("k", lambda: 2, self.POLICY) == 2
        assert cache.client.get("k") == "2"


def test_no_script_of_a_writer_gets_more_than_200_keys(cache: Cache) -> None:
    names = [f"k:{number}" for number in range(1000)]
    cache.put_many(dict.fromkeys(names, 1), ttl=60)
    counts: list[int] = []
    run_many = cache.client.run_many

    def counting(commands: Any) -> Any:
        counts.extend(len(names) for _, names, _ in commands)
        return run_many(commands)

    cache.client.run_many = counting  # type: ignore[method-assign]  # to count
    fence = cache.fence(names)
    assert cache.client.exists(*names) == 0
    assert cache.client.exists(*map(keys.fence, names)) == 1000
    cache.unfence(fence)

    assert cache.client.exists(*map(keys.fence, names)) == 0
    assert sum(counts) == 2 * 3 * 1000
    assert max(counts) <= 200
    cache.put_many(dict.fromkeys(names, 1), ttl=60)
    assert cache.invalidate(*names) == 1000
