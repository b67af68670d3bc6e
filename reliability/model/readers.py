"""A reader: a hit; or a miss, a load, and a fill if it got the lease."""

from . import scripts
from .rules import Bounds, Rules
from .state import ANSWERED, COMMITTED, EXPIRED, REFRESHED, SEEN, State, Steps, with_reader

_LOADING = {"leased", "unleased", "loaded"}
_FILLING = {"filling", "filled", "refused"}


def reader_steps(state: State, index: int, rules: Rules, bounds: Bounds) -> Steps:
    phase = state.readers[index].phase
    linked = state.links[index] == "up"
    if phase in {"idle", "asking", "checking"}:
        yield from _look(state, index, rules, bounds)
    elif phase in {"missed", "alone", "refreshing"}:
        if phase == "missed" and bounds.one_process:
            yield from _join(state, index, rules)
        if linked:
            yield from _ask(state, index, rules, refresh=phase == "refreshing")
    elif phase in {"leased", "unleased"}:
        yield from _load(state, index, rules, bounds)
    elif phase == "loaded":
        yield "accepts no more joins", with_reader(state, index, phase="filling")
    elif phase == "filling" and linked:
        text, filled = _published(state, index, rules, bounds)
        if bounds.one_process:
            yield text, filled
        else:  # no other process can tell the return from the fill
            yield text, _return(filled, index, state.readers[index].value)
    elif phase in {"filled", "refused"}:
        yield from _finish(state, index, rules)


def _look(state: State, index: int, rules: Rules, bounds: Bounds) -> Steps:
    """The read, up to a hit or a miss."""
    reader = state.readers[index]
    if reader.phase == "idle" and reader.left:
        yield from _begin(state, index, rules, bounds)
    elif reader.phase == "asking" and state.links[index] == "up":
        yield from _get(state, index, rules, bounds)
    elif reader.phase == "checking" and _trusts(state, index):
        yield "has trust by now", _return(state, index, reader.value)


def _begin(state: State, index: int, rules: Rules, bounds: Bounds) -> Steps:
    """A process without trust reads SQL: such a read needs no steps here."""
    begun = with_reader(
        state,
        index,
        phase="asking",
        left=state.readers[index].left - 1,
        answered=state.answered,
        seen=state.seen,
        snapshot=0 if rules.load_in_new_session else state.committed,
    )
    if not bounds.renewals:  # trust does not end, so nothing can happen before the GET
        if state.links[index] == "up":
            yield from _get(begun, index, rules, bounds)
    elif _trusts(state, index) or not rules.trust_before_read:
        yield "begins", begun


def _get(state: State, index: int, rules: Rules, bounds: Bounds) -> Steps:
    value = state.redis.value
    if value is None:
        yield "misses", with_reader(state, index, phase="missed")
        return
    if not rules.trust_before_read:
        yield f"gets {value}", with_reader(state, index, phase="checking", value=value)
        return
    yield f"hits {value}", _return(state, index, value)
    if bounds.refresh:
        broken = _return(state, index, value).broken
        refreshing = with_reader(state, index, phase="refreshing", saw=state.redis.fills)
        yield f"hits {value} to refresh", refreshing._replace(broken=broken)


def _trusts(state: State, index: int) -> bool:
    return state.trust[min(index, len(state.trust) - 1)] != EXPIRED


def _join(state: State, index: int, rules: Rules) -> Steps:
    """Join the load of another thread."""
    joinable = _LOADING if rules.close_before_fill else _LOADING | _FILLING
    for other, reader in enumerate(state.readers):
        if other != index and reader.phase in joinable:
            yield f"joins reader {other}", with_reader(state, index, phase="waiting", joined=other)


def _ask(state: State, index: int, rules: Rules, *, refresh: bool) -> Steps:
    reader = state.readers[index]
    seen = reader.saw if rules.refresh_only_what_was_seen else state.redis.fills
    token = 8 * index + reader.left
    redis, answer = scripts.miss(state.redis, token, seen=seen if refresh else None)
    asked = state._replace(redis=redis)
    if answer != "hit" and state.refuses:
        alone = with_reader(state, index, phase="unleased")
        yield "is refused the lease", _idle(state, index) if refresh else alone
    elif answer == "mine":
        second = refresh and redis.value is not None and redis.fills > reader.saw
        asked = asked._replace(broken=REFRESHED if second else state.broken)
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


def _published(state: State, index: int, rules: Rules, bounds: Bounds) -> tuple[str, State]:
    reader = state.readers[index]
    token = 8 * index + reader.left
    redis, accepted = scripts.publish(state.redis, token, reader.value, rules)
    if state.refuses:
        redis, accepted = state.redis, False
    if not bounds.refresh:  # otherwise the count would multiply the states
        redis = redis._replace(fills=0)
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
    changes = {"answered": 0, "seen": 0, "snapshot": 0, "value": 0, "joined": -1, "saw": 0}
    return with_reader(state, index, phase="idle", **changes)
