"""The faults of Redis, and leases and fences that expire."""

from .scripts import Redis
from .state import State, Steps, Sweeper, spend, with_writer
from .writers import token_of


def fault_steps(state: State) -> Steps:
    if state.faults.crashes and state.disk is None:
        yield "writes its data to disk, for the last time", state._replace(disk=state.redis)
    if state.faults.crashes and state.disk is not None:
        yield f"crashes, and restarts with {_describe(state.disk)}", _crashed(state, state.disk)
    if state.faults.expiries:
        yield from _expire(state)
    if state.faults.refusals and not state.refuses:
        refusing = spend(state, refusals=state.faults.refusals - 1)
        yield "begins to refuse writes", refusing._replace(refuses=True)
    if state.refuses:
        yield "accepts writes again", state._replace(refuses=False)
    if state.faults.minutes and "d" in state.records:
        later = state._replace(disk=None, records=state.records.replace("d", "o"))
        yield (
            "has everything on disk, after a minute",
            spend(later, minutes=state.faults.minutes - 1),
        )


def _crashed(state: State, redis: Redis) -> State:
    """What Redis restarts with is on disk: another crash loses nothing of it."""
    state = spend(state, crashes=state.faults.crashes - 1)
    is_cut = state.sweeper.phase in {"sweeping", "swept"}
    state = state._replace(
        redis=redis._replace(marked=False),
        disk=None,
        late=(),
        links=("down",) * len(state.links),
        sweeper=Sweeper() if is_cut else state.sweeper,
    )
    return _without_fences(state)


def _expire(state: State) -> Steps:
    """A lease or a fence expires at any time."""
    spent = spend(state, expiries=state.faults.expiries - 1)
    if state.redis.lease is not None:
        yield "expires a lease", spent._replace(redis=state.redis._replace(lease=None))
    for token in state.redis.fences:
        fences = state.redis.fences - {token}
        yield (
            "expires a fence",
            _without_fences(spent._replace(redis=state.redis._replace(fences=fences))),
        )


def _without_fences(state: State) -> State:
    """Writers that lost their fence before their COMMIT."""
    for index, writer in enumerate(state.writers):
        if writer.fenced and token_of(state, index) not in state.redis.fences:
            state = with_writer(state, index, fenced=False)
    return state


def _describe(redis: Redis) -> str:
    return f"value {redis.value}, lease {redis.lease}, fences {sorted(redis.fences)}"
