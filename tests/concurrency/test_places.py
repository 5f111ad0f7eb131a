"""Places that groups share: who gets one, who gives one up, and that nobody waits."""

from __future__ import annotations

import random

import pytest

from flask_braintrust_evals.concurrency.places import PlaceGroup, Places
from tests.support import python


class Group:
    """A group that wants a number of places, and uses each that it gets."""

    def __init__(self, places: Places, wants: int = 1000) -> None:
        self.wants = wants
        self.places = places.group(self._start)

    @property
    def count(self) -> int:
        return self.places.count

    def _start(self) -> bool:
        return self.count <= self.wants

    def ask(self, times: int = 1) -> int:
        """Ask for places; return how many were granted at once."""
        return sum(self.places.take() for _ in range(times))


def end_work(group: Group) -> None:
    """What a worker does that has done one piece of work, and has others to do."""
    if not group.places.give_up():
        return
    group.ask()  # as the group's next piece of work does


def test_the_first_place_is_always_granted_and_others_up_to_the_limit() -> None:
    places = Places(3)
    groups = [Group(places) for _ in range(5)]
    assert groups[0].ask(5) == 3
    assert [group.ask(2) for group in groups[1:]] == [1, 1, 1, 1]
    assert places.taken == 7


def test_a_place_that_is_given_back_goes_to_the_group_with_the_fewest() -> None:
    places = Places(6)
    many, few = Group(places), Group(places)
    assert (many.ask(4), few.ask(2)) == (4, 2)
    other = Group(places)
    other.ask()
    for group in (many, few, other):
        group.ask()
    for _ in range(2):  # the first of these is above the limit
        many.places.release()
    assert (many.count, few.count, other.count) == (2, 2, 2)


def test_a_group_that_has_no_use_for_a_place_any_more_passes_it_on() -> None:
    places = Places(2)
    ended, waiting = Group(places), Group(places)
    holder = Group(places)
    for group in (ended, waiting, holder) * 2:
        group.ask()
    ended.wants = holder.wants = 0
    for group in (holder, ended):
        group.places.release()
    assert (ended.count, waiting.count, places.taken) == (0, 2, 2)


def test_places_nobody_asks_for_are_not_given_up() -> None:
    places = Places(4)
    alone = Group(places)
    alone.ask(4)
    assert not alone.places.give_up()
    assert alone.count == 4


def test_a_group_that_came_first_gives_places_up_until_both_have_as_many() -> None:
    places = Places(10)
    first, second = Group(places), Group(places)
    first.ask(11)
    second.ask(2)
    for _ in range(50):
        for group in (first, second):
            end_work(group)
            group.ask()
    assert sorted((first.count, second.count)) == [5, 5]


def test_what_one_group_does_not_want_the_others_have() -> None:
    places = Places(10)
    modest, first, second = Group(places, wants=2), Group(places), Group(places)
    first.ask(11)
    modest.ask(2)
    second.ask(2)
    for _ in range(50):
        for group in (first, second, modest):
            end_work(group)
            if group is not modest or group.count < 2:
                group.ask()
    assert modest.count == 2
    assert sorted((first.count, second.count)) == [4, 4]


def test_the_last_place_is_never_given_up() -> None:
    places = Places(1)
    groups = [Group(places) for _ in range(5)]
    for group in groups:
        group.ask(2)
    for group in groups * 3:
        assert not group.places.give_up()
    assert [group.count for group in groups] == [1] * 5


def test_whatever_happens_no_place_is_lost_and_no_group_is_without_one() -> None:
    choose = random.Random(5)
    places = Places(7)
    groups = [Group(places) for _ in range(4)]
    for group in groups:
        group.ask()
    for _ in range(5000):
        group = choose.choice(groups)
        action = choose.choice(("ask", "end work", "leave"))
        if action == "ask":
            group.ask()
        elif action == "end work":
            end_work(group)
        elif group.count > 1:
            group.places.release()
        assert min(each.count for each in groups) >= 1
        assert places.taken == sum(each.count for each in groups) <= 7
    for group in groups:
        group.wants = 0
        while group.count:
            group.places.release()
    assert places.taken == 0


def test_a_thread_that_cannot_be_started_for_many_groups_is_no_deep_recursion() -> None:
    places = Places(1)
    refused: list[PlaceGroup] = []
    holder = Group(places)
    holder.ask()
    for _ in range(1500):
        group = places.group(lambda: False)
        group.count = 1  # has its first place elsewhere
        group.take()
        refused.append(group)
    holder.places.release()
    assert places.taken == 0
    assert not places.refused


@pytest.mark.slow
@pytest.mark.parametrize(("patch", "limit"), [("", 200), ("monkey.patch_all()", 10_000)])
def test_there_are_more_places_for_greenlets_than_for_threads(patch: str, limit: int) -> None:
    script = f"""
        from flask_braintrust_evals.concurrency.places import Places
        places = Places(None)  # made before the patch, as with --preload
        from gevent import monkey
        {patch}
        print(places.limit)
    """
    assert python(script).strip() == str(limit)
