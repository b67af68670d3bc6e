"""Cached values that are bytes."""

import pytest

from common.pyportal_common.cache_handlers import Bytes, Cache, Fill, Policy, RedisClient, keys

PAGES = Policy(ttl=60, shape=Bytes())
ANY_BYTES = bytes(range(256))


@pytest.fixture
def cache(client: RedisClient) -> Cache:
    return Cache(client)


def never() -> bytes:
    raise AssertionError("nothing should be loaded")


@pytest.mark.parametrize("tags", [[], ["user:7"]], ids=["", "with a tag"])
@pytest.mark.parametrize(
    "value",
    [b"", b"null", b"bytes:", b'"text"', "Zoë".encode(), ANY_BYTES, b"\xed\xa0\x80", b"\r\n\x00"],
)
def test_bytes_are_kept_as_they_are(cache: Cache, value: bytes, tags: list[str]) -> None:
    assert cache.get_or_load("page", lambda: value, PAGES, tags=tags) == value

    assert cache.get_or_load("page", never, PAGES, tags=tags) == value
    many = cache.get_many_or_load(["page", "other"], lambda _: {}, PAGES, tags=tags)
    assert many == {"page": value, "other": None}


def test_they_are_stored_without_an_encoding(redis_client: RedisClient) -> None:
    Cache(redis_client).get_or_load("page", lambda: ANY_BYTES * 4096, PAGES)

    assert redis_client.execute("STRLEN", "page") == len(b"bytes:") + 256 * 4096
    assert Cache(redis_client).get_or_load("page", never, PAGES) == ANY_BYTES * 4096


def test_none_is_cached_and_is_not_the_bytes_null(cache: Cache) -> None:
    assert cache.get_or_load("page", lambda: None, PAGES) is None
    assert cache.get_or_load("page", never, PAGES) is None


@pytest.mark.parametrize("value", ["text", bytearray(b"x"), memoryview(b"x"), 7, [b"x"]])
def test_another_type_is_an_error_and_is_not_stored(cache: Cache, value: object) -> None:
    with pytest.raises(TypeError, match="bytes or None"):
        cache.get_or_load("page", lambda: value, PAGES)

    assert cache.client.get("page") is None


@pytest.mark.parametrize("text", ["", "text", '{"a":1}', "7", "bytes", b"\xff", '"bytes:"'])
def test_other_texts_are_a_miss(cache: Cache, text: str) -> None:
    cache.client.set("page", text, ttl=60)

    assert cache.get_or_load("page", lambda: b"page", PAGES) == b"page"
    assert cache.get_or_load("page", never, PAGES) == b"page"


def test_readers_of_json_do_not_take_bytes_for_a_value(cache: Cache) -> None:
    cache.get_or_load("page", lambda: b"7", PAGES)

    assert cache.get("page") is None
    assert cache.get_or_load("page", lambda: 8, Policy(ttl=60)) == 8
    with pytest.raises(TypeError, match="JSON"):
        cache.find("page", never, PAGES)


def test_a_commit_fills_bytes(cache: Cache) -> None:
    fence = cache.fence(["page"], fills=True)
    cache.unfence(fence, {"page": Fill.of(ANY_BYTES, PAGES)})

    assert cache.get_or_load("page", never, PAGES) == ANY_BYTES
    assert cache.client.exists(keys.fence("page")) == 0


def test_a_reader_who_waited_gets_the_bytes_of_the_loader(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.get_or_load("page", lambda: ANY_BYTES, PAGES)
    read_bytes = cache.client.read_bytes
    monkeypatch.setattr(cache.client, "read_bytes", lambda *_: [None, -2])  # just before the fill

    assert cache.get_or_load("page", never, PAGES) == ANY_BYTES

    assert read_bytes(("GET", "page")) == [b"bytes:" + ANY_BYTES]
