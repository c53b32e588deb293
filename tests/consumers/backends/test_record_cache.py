"""The cache of records: the latest of each address, those used last, within its bytes."""

from __future__ import annotations

from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from consumers.backends.record_cache import RecordCache

ENTRY = 500


def address(name: str) -> tuple[str, str, str]:
    return "acme", "User", name


def test_what_was_put_is_found_and_what_was_dropped_is_not() -> None:
    cache = RecordCache(10_000)
    cache.put(address("a"), b"1")
    cache.put(address("b"), b"2")
    cache.put(address("a"), b"3")
    cache.drop(address("b"))
    cache.drop(address("b"))
    assert (cache.get(address("a")), cache.get(address("b")), len(cache)) == (b"3", None, 1)


def test_the_one_not_used_for_longest_makes_room() -> None:
    cache = RecordCache(3 * (ENTRY + 100))
    for name in "abc":
        cache.put(address(name), bytes(100))
    assert cache.get(address("a")) is not None
    cache.put(address("d"), bytes(100))
    assert [name for name in "abcd" if address(name) in cache] == ["a", "c", "d"]


def test_looking_whether_it_is_there_is_no_use_of_it() -> None:
    cache = RecordCache(2 * ENTRY)
    for name in "ab":
        cache.put(address(name), b"")
    assert address("a") in cache
    cache.put(address("c"), b"")
    assert address("a") not in cache


def test_a_record_larger_than_all_is_not_kept() -> None:
    cache = RecordCache(10_000)
    cache.put(address("a"), bytes(100))
    cache.put(address("b"), bytes(10_000))
    assert len(cache) == 0
    cache.put(address("a"), bytes(100))
    assert len(cache) == 1


def test_what_is_offered_takes_the_place_of_nothing() -> None:
    cache = RecordCache(2 * ENTRY)
    cache.put(address("a"), b"")
    assert cache.offer(address("b"), b"")
    assert not cache.offer(address("c"), b"")
    assert not cache.offer(address("a"), b"")
    cache.put(address("d"), b"")
    assert [name for name in "abcd" if address(name) in cache] == ["a", "d"]


steps = st.tuples(st.sampled_from(["put", "offer", "get", "drop"]), st.sampled_from("abcdef"), st.integers(0, 900))


@given(st.lists(steps, max_size=60))
def test_it_agrees_with_a_list_in_the_order_of_use(done: list[tuple[str, str, int]]) -> None:
    cache, model = RecordCache(3000), OrderedDict[str, bytes]()

    def size() -> int:
        return sum(len(record) + ENTRY for record in model.values())

    for step, name, length in done:
        record = bytes(length)
        match step:
            case "put":
                cache.put(address(name), record)
                model.pop(name, None)
                model[name] = record
                while size() > 3000:
                    model.popitem(last=False)
            case "offer":
                fits = name not in model and size() + length + ENTRY <= 3000
                assert cache.offer(address(name), record) == fits
                if fits:
                    model[name] = record
                    model.move_to_end(name, last=False)
            case "get":
                assert cache.get(address(name)) == model.get(name)
                if name in model:
                    model.move_to_end(name)
            case _:
                cache.drop(address(name))
                model.pop(name, None)
        assert {name for name in "abcdef" if address(name) in cache} == set(model)
