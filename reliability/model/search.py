"""Every order in which the processes can take their steps, the shortest first."""

from collections import deque
from dataclasses import dataclass

from .faults import fault_steps
from .readers import reader_steps
from .rules import Bounds, Rules
from .state import Reader, State, Steps, Sweeper, Writer, beginnings
from .upkeep import greeting_steps, sweeper_steps
from .writers import writer_steps


@dataclass(frozen=True, slots=True)
class Found:
    """`broken` is the promise that is not kept, or empty; `trace` how, by the fewest steps."""

    states: int
    broken: str = ""
    trace: tuple[str, ...] = ()

    def __str__(self) -> str:
        steps = "\n".join(f"{number:3} {step}" for number, step in enumerate(self.trace, 1))
        return f"{self.broken or 'nothing broken'} ({self.states:,} states)\n{steps}"


def search(rules: Rules, bounds: Bounds) -> Found:
    """Breadth first, up to the first promise that is broken."""
    came_from: dict[State, tuple[State, str] | None] = dict.fromkeys(beginnings(bounds))
    waiting = deque(came_from)
    while waiting:
        state = waiting.popleft()
        for step, following in steps(state, rules, bounds):
            if following in came_from:
                continue
            came_from[following] = (state, step)
            broken = following.broken or _left_behind(following, rules)
            if broken:
                return Found(len(came_from), broken, _trace(came_from, following))
            waiting.append(following)
    return Found(len(came_from))


def steps(state: State, rules: Rules, bounds: Bounds) -> Steps:
    """All that can happen next, and who does it."""
    for index in range(bounds.readers):
        for said, following in reader_steps(state, index, rules, bounds):
            yield f"reader {index} {said}", following
    for index in range(bounds.writers):
        for said, following in writer_steps(state, index, rules, bounds):
            yield f"writer {index} {said}", following
    for said, following in sweeper_steps(state, rules):
        yield f"sweeper {said}", following
    for said, following in fault_steps(state):
        yield f"Redis {said}", following
    for index, link in enumerate(state.links):
        if link != "up" and _wants_redis(state, index):
            for said, following in greeting_steps(state, index, rules):
                yield f"{_name(index, bounds)} {said}", following


def _wants_redis(state: State, index: int) -> bool:
    processes: tuple[Reader | Writer | Sweeper, ...] = (
        *state.readers,
        *state.writers,
        state.sweeper,
    )
    phases = [process.phase for process in processes]
    if phases[index] == "idle":
        return index < len(state.readers) and state.readers[index].left > 0
    asking = {"missed", "alone", "refreshing", "closed", "fencing", "lifting", "first", "then"}
    return phases[index] in asking


def _left_behind(state: State, rules: Rules) -> str:
    """When all is over and nothing is pending, Redis holds the newest version or none."""
    busy = (
        any(reader.phase != "idle" or reader.left for reader in state.readers)
        or any(writer.phase not in {"idle", "dead"} for writer in state.writers)
        or state.sweeper.phase != "idle"
        or (rules.sweep and "p" in state.records)
        or not state.redis.told
    )
    old = state.redis.value is not None and state.redis.value != state.committed
    return "nothing old is left behind" if old and not busy else ""


def _trace(came_from: dict[State, tuple[State, str] | None], state: State) -> tuple[str, ...]:
    taken: list[str] = []
    before = came_from[state]
    while before is not None:
        state, step = before
        taken.append(step)
        before = came_from[state]
    return (f"the value is {state.redis.value}", *reversed(taken))


def _name(index: int, bounds: Bounds) -> str:
    if index < bounds.readers:
        return f"reader {index}"
    writer = index - bounds.readers
    return f"writer {writer}" if writer < bounds.writers else "sweeper"
