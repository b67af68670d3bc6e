"""What goes wrong, apart from what happens to one writer."""

from .scripts import Redis
from .state import State, Steps, Sweeper, spend, with_writer
from .writers import token_of


def fault_steps(state: State) -> Steps:
    if state.faults.crashes and state.disk is None:
        yield "writes its disk, for the last time", state._replace(disk=state.redis)
    if state.faults.crashes and state.disk is not None:
        yield f"crashes, and is at {_said(state.disk)}", _crashed(state, state.disk)
    if state.faults.expiries:
        yield from _expire(state)
    if state.faults.minutes and "d" in state.records:
        later = state._replace(disk=None, records=state.records.replace("d", "o"))
        yield "has all on its disk after a minute", spend(later, minutes=state.faults.minutes - 1)


def _crashed(state: State, redis: Redis) -> State:
    """What Redis comes back with is on its disk: the next crash does not go behind it."""
    state = spend(state, crashes=state.faults.crashes - 1)
    sweeper = Sweeper() if state.sweeper.phase in {"first", "then"} else state.sweeper
    state = state._replace(
        redis=redis._replace(told=False),
        disk=None,
        links=("down",) * len(state.links),
        sweeper=sweeper,
    )
    return _unguarded(state)


def _expire(state: State) -> Steps:
    """A fence that ends is no command: but the disk does not bring it back either."""
    spent = spend(state, expiries=state.faults.expiries - 1)
    if state.redis.lease is not None:
        yield "lets a lease end", spent._replace(redis=state.redis._replace(lease=None))
    for token in state.redis.fences:
        fences = state.redis.fences - {token}
        yield (
            "lets a fence end",
            _unguarded(spent._replace(redis=state.redis._replace(fences=fences))),
        )


def _unguarded(state: State) -> State:
    """Writers whose fence is gone before their COMMIT."""
    for index, writer in enumerate(state.writers):
        if writer.guarded and token_of(state, index) not in state.redis.fences:
            state = with_writer(state, index, guarded=False)
    return state


def _said(redis: Redis) -> str:
    return f"value {redis.value}, lease {redis.lease}, fences {sorted(redis.fences)}"
