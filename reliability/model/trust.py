"""Trust: a process reads from Redis only for a while after it has applied all pending records."""

from . import scripts
from .rules import Rules
from .state import Renewal, State, Steps, put, spend, with_records


def renewal_steps(state: State, rules: Rules) -> Steps:
    """Renewals, which may overlap, even those of one process."""
    if state.faults.renewals:
        for process in range(len(state.trust)):
            yield from _begin(state, process, rules)
    for place, renewal in enumerate(state.renewals):
        without = (*state.renewals[:place], *state.renewals[place + 1 :])
        left = state._replace(renewals=without)
        if renewal.phase == "marking":
            yield _name(renewal, "marks its records done"), with_records(left, renewal.found, "d")
        elif state.links[renewal.process] == "up":
            yield from _remove(left, renewal, rules)


def _begin(state: State, process: int, rules: Rules) -> Steps:
    """Note the time and read the records: more of them if a commit comes between the two."""
    young = {writer.version for writer in state.writers if writer.phase != "dead"}
    found = tuple(
        version
        for version, kept in enumerate(state.records, 1)
        if kept == "p" and (rules.renewal_takes_young or version not in young)
    )
    renewal = Renewal(process, "asking", state.committed, found)
    renewals = tuple(sorted((*state.renewals, renewal)))
    begun = spend(state, renewals=state.faults.renewals - 1)._replace(renewals=renewals)
    yield _name(renewal, f"finds {found}"), begun


def _remove(state: State, renewal: Renewal, rules: Rules) -> Steps:
    """The script, and the trust that its reply gives."""
    if state.refuses and rules.renewal_writes:
        yield _name(renewal, "is refused"), state
        return
    process = renewal.process
    begun = renewal.begun if rules.trust_from_start else state.committed
    trust = put(state.trust, process, max(begun, state.trust[process]))
    redis = state.redis
    if renewal.found and not state.refuses:
        redis = scripts.renew(redis, rules)
    following = (renewal._replace(phase="marking"),) if renewal.found else ()
    renewals = tuple(sorted((*state.renewals, *following)))
    renewed = state._replace(redis=redis, trust=trust, renewals=renewals)
    yield _name(renewal, "removes the value"), renewed


def _name(renewal: Renewal, text: str) -> str:
    return f"of process {renewal.process} {text}"
