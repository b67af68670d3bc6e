"""What applies the records to Redis: new connections and sweeps; and purges of records."""

from . import scripts
from .rules import Rules
from .state import State, Steps, Sweeper, with_link, with_records


def connect_steps(state: State, index: int, rules: Rules) -> Steps:
    """A new connection replays the records to a restarted server before any other command."""
    link = "refused" if state.refuses else state.links[index]
    if link == "down" and (state.redis.marked or not rules.replay_on_connect):
        yield "connects", with_link(state, index, "up")
    elif link == "down":
        replayed = "pdo" if rules.replay_done_records else "p"
        found = any(letter in replayed for letter in state.records)
        if not rules.marker_after_replay:
            state = state._replace(redis=state.redis._replace(marked=True))
        link = "replaying" if found else "marking"
        yield f"connects, finds {state.records!r}", with_link(state, index, link)
    elif link == "replaying":
        removed = state._replace(redis=scripts.replay(state.redis, rules))
        yield "replays", with_link(removed, index, "marking")
    elif link == "marking":
        marked = state._replace(redis=state.redis._replace(marked=True))
        yield "marks the server", with_link(marked, index, "up")


def sweeper_steps(state: State, rules: Rules) -> Steps:
    """One sweep at a time, and purges between them."""
    phase, found = state.sweeper
    linked = state.links[-1] == "up" and not state.refuses
    if phase == "idle":
        yield from _begin(state, rules)
    elif phase in {"sweeping", "swept"} and linked:
        takes_lease = (phase == "sweeping") == rules.sweep_takes_lease_first
        following = "swept" if phase == "sweeping" else "marking"
        removed = _remove_lease(state, rules) if takes_lease else _remove_value(state, rules)
        text = f"removes the {'lease' if takes_lease else 'value'}"
        yield text, removed._replace(sweeper=Sweeper(following, found))
    elif phase == "marking":
        yield "marks the records done", with_records(state, found, "d")._replace(sweeper=Sweeper())
    elif phase == "purging":
        yield "purges", _purged(state, rules)


def _begin(state: State, rules: Rules) -> Steps:
    pending = tuple(version for version, kept in enumerate(state.records, 1) if kept == "p")
    if pending and rules.sweep:
        yield f"finds {state.records!r}", state._replace(sweeper=Sweeper("sweeping", pending))
    if _purged(state, rules) != state and (state.redis.marked or not rules.purge_only_when_marked):
        yield "is about to purge", state._replace(sweeper=Sweeper("purging"))


def _purged(state: State, rules: Rules) -> State:
    old = "o" if rules.purge_after_a_minute else "od"
    records = "".join("x" if kept in old else kept for kept in state.records)
    return state._replace(records=records, sweeper=Sweeper())


def _remove_lease(state: State, rules: Rules) -> State:
    lease = None if rules.sweep_takes_lease else state.redis.lease
    return state._replace(redis=state.redis._replace(lease=lease))


def _remove_value(state: State, rules: Rules) -> State:
    redis = state.redis._replace(value=None)
    if not rules.sweep_leaves_fences:
        redis = redis._replace(fences=frozenset())
    return state._replace(redis=redis)
