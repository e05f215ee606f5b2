"""Whose turn it is, without a thread: urgency, fairness between clients, what replaces what."""

import threading
from itertools import count
from typing import cast

from inference.generation import Job, Priority
from inference.kept import pack
from inference.runner import Run
from inference.stream import Stream
from inference.turns import KEPT_FOR_TYPING, TYPED_S, Task, Turns

arrivals = count()


def task(client: str = "", priority: Priority = Priority.ACTION, *, latest_of: str = "", begun: bool = False) -> Task:
    job = Job("job", (1,), 1, priority=priority, client=client, latest_of=latest_of)
    return Task(Run(job, pack([1])), cast(Stream, None), threading.Event(), next(arrivals), begun)


def turns_of(*tasks: Task) -> Turns:
    turns = Turns()
    turns.tasks += tasks
    return turns


def test_the_most_urgent_goes_first() -> None:
    slow, fast = task(priority=Priority.REFACTOR), task(priority=Priority.TYPING)
    assert turns_of(slow, fast).choose(8) is fast


def test_clients_take_turns_and_jobs_of_a_client_queue() -> None:
    one, two, other = task("a"), task("a"), task("b")
    turns = turns_of(one, two, other)
    assert [turns.choose(8) for _ in range(4)] == [one, other, one, other]
    turns.leave(one)
    assert [turns.choose(8) for _ in range(2)] == [two, other]


def test_whoever_goes_along_has_had_a_turn() -> None:
    one, two, three = task("a"), task("b"), task("c")
    turns = turns_of(one, two, three)
    assert turns.choose(8) is one
    turns.served([two])
    assert turns.choose(8) is three
    assert turns.choose(8) is one


def test_a_client_that_has_left_is_forgotten() -> None:
    one, two = task("a"), task("b")
    turns = turns_of(one, two)
    assert turns.choose(8) is one
    turns.leave(one)
    back = task("a")
    turns.tasks.append(back)
    assert turns.choose(8) is two  # it waits longer


def test_only_those_as_urgent_go_along() -> None:
    chosen, equal = task("a", begun=True), task("a", begun=True)
    others = (task(begun=True, priority=Priority.REFACTOR), task(begun=True, priority=Priority.TYPING), task("b"))
    assert turns_of(equal, *others, chosen).equals(chosen) == [equal]


def test_slow_jobs_leave_room_for_typing() -> None:
    running, slow, fast = task(begun=True), task(), task(priority=Priority.TYPING)
    turns = turns_of(running, slow, fast)
    assert turns.able(1) == [running]
    assert turns.able(1 + KEPT_FOR_TYPING) == [running, fast]
    assert turns.able(2 + KEPT_FOR_TYPING) == [running, slow, fast]
    turns.leave(running)
    assert turns.able(1) == [slow, fast]  # one must be able to begin, however few there are


def test_what_found_no_room_waits_for_an_end() -> None:
    running, blocked = task(begun=True), task()
    blocked.blocked = True
    turns = turns_of(running, blocked)
    assert turns.able(8) == [running]
    turns.leave(running)
    assert turns.able(8) == [blocked]


def test_a_preemption_is_a_running_job_set_aside_for_a_more_urgent_one() -> None:
    slow, fast = task("a", Priority.REFACTOR, begun=True), task("b", Priority.TYPING)
    turns = turns_of(slow)
    turns.choose(8)
    turns.tasks.append(fast)
    turns.choose(8)
    turns.choose(8)
    assert turns.n_preemptions == 1
    turns.leave(fast)
    turns.choose(8)
    assert turns.n_preemptions == 1


def test_a_newer_job_replaces_those_of_its_client_and_kind() -> None:
    old, left = task("a", latest_of="x"), task("a", latest_of="x")
    left.cancelled.set()  # ends anyway
    others = (task("a", latest_of="y"), task("b", latest_of="x"), task("a"), task("", latest_of="x"))
    turns = turns_of(*others, old, left)
    assert turns.replaced_by(task("a", Priority.TYPING, latest_of="x")) == [old]
    assert turns.replaced_by(task("a")) == []
    assert turns.replaced_by(task("", latest_of="x")) == []


def test_a_key_may_come_while_somebody_types_and_only_less_urgent_work_is_in_its_way() -> None:
    turns, slow, key = Turns(), task(priority=Priority.WARMUP), task(priority=Priority.TYPING)
    turns.add(slow)
    assert not turns.may_be_waited_for(slow, slow.arrived)
    turns.add(key)
    assert turns.may_be_waited_for(slow, key.arrived + TYPED_S / 2)
    assert not turns.may_be_waited_for(slow, key.arrived + TYPED_S)
    assert not turns.may_be_waited_for(key, key.arrived)


def test_a_pause_of_seconds_is_no_end_of_typing() -> None:
    """With 3 s, keys 4 s apart waited for whole chunks behind a prompt of 30,000 tokens: 460 ms instead of 130."""
    turns, slow, key = Turns(), task(priority=Priority.REFACTOR), task(priority=Priority.TYPING)
    turns.add(slow)
    turns.add(key)
    assert turns.may_be_waited_for(slow, key.arrived + 10)
