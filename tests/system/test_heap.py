"""What stands is set aside from the collector, looked at again now and then, and freed as ever."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from gateway.runtime import heap


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


class Node:
    """Something that may refer to itself."""

    def __init__(self) -> None:
        self.other: Node | None = None


def test_what_survives_a_full_collection_is_not_looked_at_again() -> None:
    with heap.set_aside():
        made = [Node() for _ in range(100)]
        gc.collect()
        assert not any(each is made[0] for each in gc.get_objects())
    assert all(isinstance(each, Node) for each in made)


def test_what_nothing_refers_to_is_freed_though_it_was_set_aside() -> None:
    with heap.set_aside():
        made = Node()
        gc.collect()
        gone = weakref.ref(made)
        del made
        assert gone() is None


def test_cycles_that_died_aside_are_found_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "THAW_EVERY", 3)
    with heap.set_aside():
        made = Node()
        made.other = made
        gc.collect()
        gone = weakref.ref(made)
        del made
        gc.collect()
        assert gone() is not None
        gc.collect()
        gc.collect()
        assert gone() is None


def test_the_collector_is_left_as_it_was() -> None:
    before = list(gc.callbacks)
    with heap.set_aside():
        assert gc.callbacks != before
    assert gc.callbacks == before
