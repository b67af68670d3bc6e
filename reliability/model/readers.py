"""A reader: a hit; or a miss, a load, and a fill if it got the lease."""

from . import scripts
from .rules import Bounds, Rules
from .state import ANSWERED, COMMITTED, SEEN, State, Steps, with_reader

_LOADING = {"leased", "unleased", "loaded"}
_FILLING = {"filling", "filled", "refused"}


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
    elif phase in {"leased", "unleased"}:
        yield from _load(state, index, rules, bounds)
    elif phase == "loaded":
        yield "accepts no more joins", with_reader(state, index, phase="filling")
    elif phase == "filling" and linked:
        text, filled = _published(state, index, rules)
        if bounds.one_process:
            yield text, filled
        else:  # no other process can tell the return from the fill
            yield text, _return(filled, index, state.readers[index].value)
    elif phase in {"filled", "refused"}:
        yield from _finish(state, index, rules)


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
        broken = _return(begun, index, value).broken
        refreshing = with_reader(begun, index, phase="refreshing")
        yield f"hits {value} to refresh", refreshing._replace(broken=broken)


def _join(state: State, index: int, rules: Rules) -> Steps:
    """Join the load of another thread."""
    joinable = _LOADING if rules.close_before_fill else _LOADING | _FILLING
    for other, reader in enumerate(state.readers):
        if other != index and reader.phase in joinable:
            yield f"joins reader {other}", with_reader(state, index, phase="waiting", joined=other)


def _ask(state: State, index: int, *, refresh: bool) -> Steps:
    token = 8 * index + state.readers[index].left
    redis, answer = scripts.miss(state.redis, token, refresh=refresh)
    asked = state._replace(redis=redis)
    if answer == "mine":
        yield "gets the lease", with_reader(asked, index, phase="leased")
    elif refresh:
        yield f"is {answer}, and does not refresh", _idle(asked, index)
    elif answer == "hit":
        assert redis.value is not None
        yield f"hits {redis.value} late", _return(asked, index, redis.value)
    else:
        yield f"is {answer}", with_reader(asked, index, phase="unleased")


def _load(state: State, index: int, rules: Rules, bounds: Bounds) -> Steps:
    reader = state.readers[index]
    value = state.committed if rules.load_in_new_session else reader.snapshot
    if reader.phase == "leased":
        following = "loaded" if bounds.one_process else "filling"
        yield f"loads {value}", with_reader(state, index, phase=following, value=value)
    else:
        returned = _return(state, index, value)
        yield f"loads {value} without a lease", _release(returned, index, accepted=False)


def _published(state: State, index: int, rules: Rules) -> tuple[str, State]:
    reader = state.readers[index]
    token = 8 * index + reader.left
    redis, accepted = scripts.publish(state.redis, token, reader.value, rules)
    text = f"publishes {reader.value}" if accepted else f"is refused to publish {reader.value}"
    phase = "filled" if accepted else "refused"
    return text, with_reader(state._replace(redis=redis), index, phase=phase)


def _finish(state: State, index: int, rules: Rules) -> Steps:
    reader = state.readers[index]
    accepted = reader.phase == "filled" or not rules.share_only_accepted_fills
    returned = _return(state, index, reader.value)
    released = _release(returned, index, accepted=accepted, value=reader.value)
    yield f"returns {reader.value}", released


def _release(state: State, index: int, *, accepted: bool, value: int = 0) -> State:
    """Those that joined take the value if the fill was accepted; otherwise they load it alone."""
    for other, reader in enumerate(state.readers):
        if reader.joined == index:
            if accepted:
                state = _return(state, other, value)
            else:
                state = with_reader(state, other, phase="alone", joined=-1)
    return state


def _return(state: State, index: int, value: int) -> State:
    """The read returns: here the promises are checked."""
    reader = state.readers[index]
    broken = state.broken
    if value > state.committed:
        broken = COMMITTED
    elif value < reader.answered:
        broken = ANSWERED
    elif value < reader.seen:
        broken = SEEN
    # A version that was committed without its fence does not count as seen.
    seen = max(version for version in state.fenced if version <= value)
    state = state._replace(seen=max(state.seen, seen), broken=broken)
    return _idle(state, index)


def _idle(state: State, index: int) -> State:
    changes = {"answered": 0, "seen": 0, "snapshot": 0, "value": 0, "joined": -1}
    return with_reader(state, index, phase="idle", **changes)
