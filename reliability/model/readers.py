"""A reader: a hit; or a miss, a load, and a fill where it got the lease."""

from . import scripts
from .rules import Bounds, Rules
from .state import State, Steps, with_reader

_FLYING = {"mine", "unfilled", "loaded"}
_FILLING = {"closed", "landing", "refused"}


def reader_steps(state: State, index: int, rules: Rules, bounds: Bounds) -> Steps:
    phase = state.readers[index].phase
    linked = state.links[index] == "up"
    if phase == "idle" and linked and state.readers[index].left:
        yield from _get(state, index, rules, bounds)
    elif phase in {"missed", "alone", "refreshing"}:
        if phase == "missed" and bounds.one_process:
            yield from _join(state, index, rules)
        if linked:
            yield from _ask(state, index, refresh=phase == "refreshing")
    elif phase in {"mine", "unfilled"}:
        yield from _load(state, index, rules, bounds)
    elif phase == "loaded":
        yield "closes", with_reader(state, index, phase="closed")
    elif phase == "closed" and linked:
        said, filled = _published(state, index, rules)
        if bounds.one_process:
            yield said, filled
        else:  # nobody can tell the return from the fill
            yield said, _return(filled, index, state.readers[index].value)
    elif phase in {"landing", "refused"}:
        yield from _land(state, index, rules)


def _get(state: State, index: int, rules: Rules, bounds: Bounds) -> Steps:
    begun = with_reader(
        state,
        index,
        phase="missed",
        left=state.readers[index].left - 1,
        answered=state.answered,
        seen=state.seen,
        snapshot=0 if rules.load_in_new_session else state.committed,
    )
    value = state.redis.value
    if value is None:
        yield "misses", begun
        return
    yield f"hits {value}", _return(begun, index, value)
    if bounds.refresh:
        hit = _return(begun, index, value).broken
        yield (
            f"hits {value} to refresh",
            with_reader(begun, index, phase="refreshing")._replace(broken=hit),
        )


def _join(state: State, index: int, rules: Rules) -> Steps:
    """Wait for the load of another thread."""
    joinable = _FLYING if rules.close_before_fill else _FLYING | _FILLING
    for other, reader in enumerate(state.readers):
        if other != index and reader.phase in joinable:
            yield f"joins reader {other}", with_reader(state, index, phase="waiting", joined=other)


def _ask(state: State, index: int, *, refresh: bool) -> Steps:
    token = 8 * index + state.readers[index].left
    redis, answer = scripts.miss(state.redis, token, refresh=refresh)
    asked = state._replace(redis=redis)
    if answer == "mine":
        yield "gets the lease", with_reader(asked, index, phase="mine")
    elif refresh:
        yield f"is {answer}, and leaves it", _idle(asked, index)
    elif answer == "hit":
        assert redis.value is not None
        yield f"hits {redis.value} late", _return(asked, index, redis.value)
    else:
        yield f"is {answer}", with_reader(asked, index, phase="unfilled")


def _load(state: State, index: int, rules: Rules, bounds: Bounds) -> Steps:
    reader = state.readers[index]
    value = state.committed if rules.load_in_new_session else reader.snapshot
    if reader.phase == "mine":
        following = "loaded" if bounds.one_process else "closed"
        yield f"loads {value}", with_reader(state, index, phase=following, value=value)
    else:
        returned = _return(state, index, value)
        yield f"loads {value} unfilled", _release(returned, index, accepted=False)


def _published(state: State, index: int, rules: Rules) -> tuple[str, State]:
    reader = state.readers[index]
    token = 8 * index + reader.left
    redis, accepted = scripts.publish(state.redis, token, reader.value, rules)
    said = f"publishes {reader.value}" if accepted else f"may not publish {reader.value}"
    phase = "landing" if accepted else "refused"
    return said, with_reader(state._replace(redis=redis), index, phase=phase)


def _land(state: State, index: int, rules: Rules) -> Steps:
    reader = state.readers[index]
    accepted = reader.phase == "landing" or not rules.share_only_accepted_fills
    returned = _return(state, index, reader.value)
    yield (
        f"returns {reader.value}",
        _release(returned, index, accepted=accepted, value=reader.value),
    )


def _release(state: State, index: int, *, accepted: bool, value: int = 0) -> State:
    """Those that joined take the value if the fill was accepted, and else go on alone."""
    for other, reader in enumerate(state.readers):
        if reader.joined == index:
            if accepted:
                state = _return(state, other, value)
            else:
                state = with_reader(state, other, phase="alone", joined=-1)
    return state


def _return(state: State, index: int, value: int) -> State:
    """The read is over: here the promises are checked."""
    reader = state.readers[index]
    broken = state.broken
    if value > state.committed:
        broken = "only committed values"
    elif value < reader.answered:
        broken = "nothing older than what was answered"
    elif value < reader.seen:
        broken = "nothing older than what was seen"
    # A version that was committed without its fence does not count as seen.
    seen = max(version for version in state.guarded if version <= value)
    state = state._replace(seen=max(state.seen, seen), broken=broken)
    return _idle(state, index)


def _idle(state: State, index: int) -> State:
    changes = {"answered": 0, "seen": 0, "snapshot": 0, "value": 0, "joined": -1}
    return with_reader(state, index, phase="idle", **changes)
