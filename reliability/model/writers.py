"""A writer: record and fence, COMMIT, unfence, answer, and mark the record done."""

from . import scripts
from .rules import Bounds, Rules
from .state import EXPIRED, State, Steps, spend, with_records, with_writer


def writer_steps(state: State, index: int, rules: Rules, bounds: Bounds) -> Steps:
    writer = state.writers[index]
    if writer.phase == "idle" and writer.left and state.lock is None:
        locked = with_writer(state, index, phase="fencing", left=writer.left - 1)
        yield "locks the row", locked._replace(lock=index)
    elif writer.phase == "fencing":
        yield from _fence(state, index, rules, bounds)
    elif writer.phase == "committing":
        yield from _commit(state, index, rules)
    elif writer.phase == "unfencing":
        yield from _unfence(state, index, rules, bounds)
    elif writer.phase == "waiting":
        yield from _wait(state, index, rules, bounds)
    elif writer.phase == "answering":
        yield from _answer(state, index, then="marking")
    elif writer.phase == "marking":
        done = with_records(state, (writer.version,), "d")
        yield "marks its record done", with_writer(done, index, phase="idle", version=0)
    if state.faults.kills and writer.phase not in {"idle", "dead"}:
        yield "is killed", _killed(state, index)


def token_of(state: State, index: int) -> int:
    """Not one of a reader: a writer that fills has a lease as well."""
    return 64 + 8 * index + state.writers[index].left


def late_steps(state: State, rules: Rules, bounds: Bounds) -> Steps:
    """A server that hung executes what writers sent it."""
    for place, (name, token, fill) in enumerate(state.late if not state.refuses else ()):
        if name == "fence":
            redis = scripts.fence(state.redis, token, rules, fills=bounds.fills)
        else:
            redis = scripts.unfence(state.redis, token, rules, fill=fill)
        left = (*state.late[:place], *state.late[place + 1 :])
        yield f"executes a late {name}", state._replace(redis=redis, late=left)


def _fence(state: State, index: int, rules: Rules, bounds: Bounds) -> Steps:
    if state.refuses:
        yield "is refused a fence", with_writer(state, index, phase="committing")
    elif state.links[bounds.readers + index] == "up":
        redis = scripts.fence(state.redis, token_of(state, index), rules, fills=bounds.fills)
        if not rules.own_fill_after_commit:
            redis = redis._replace(value=state.committed + 1)
        fenced = with_writer(state._replace(redis=redis), index, phase="committing", fenced=True)
        yield "sets its fence", with_writer(fenced, index, fills=bounds.fills)
    for cut in _cut(state, index, "fence", bounds):
        fills = bounds.fills and not rules.own_fill_needs_fence
        cut = with_writer(cut, index, phase="committing", fills=fills)
        yield "gets no reply before COMMIT", cut


def _commit(state: State, index: int, rules: Rules) -> Steps:
    version = state.committed + 1
    versions = state.fenced
    if state.writers[index].fenced:
        versions = (*versions, version)
    committed = state._replace(
        committed=version,
        lock=None,
        records=state.records + ("p" if rules.record else "-"),
        fenced=versions,
    )
    after = with_writer(committed, index, phase="unfencing", version=version, fenced=False)
    yield f"commits {version}", after


def _unfence(state: State, index: int, rules: Rules, bounds: Bounds) -> Steps:
    if state.refuses:
        yield "is refused after COMMIT", with_writer(state, index, phase="waiting", fills=False)
    elif state.links[bounds.readers + index] == "up":
        token, fill = token_of(state, index), _fill_of(state, index)
        redis = scripts.unfence(state.redis, token, rules, fill=fill)
        unfenced = with_writer(state._replace(redis=redis), index, phase="answering", fills=False)
        yield "removes its fence", unfenced
    for cut in _cut(state, index, "unfence", bounds):
        yield "gets no reply after COMMIT", with_writer(cut, index, phase="waiting", fills=False)


def _fill_of(state: State, index: int) -> int | None:
    writer = state.writers[index]
    return writer.version if writer.fills else None


def _cut(state: State, index: int, name: str, bounds: Bounds) -> list[State]:
    """A command without a reply: it is lost, or Redis may execute it later."""
    if not state.faults.cuts:
        return []
    cut = spend(state, cuts=state.faults.cuts - 1)
    fill = _fill_of(state, index) if name == "unfence" else None
    late = tuple(sorted((*cut.late, (name, token_of(state, index), fill)), key=str))
    return [cut, cut._replace(late=late)] if bounds.late else [cut]


def _after_a_length_of_trust(state: State, version: int) -> State:
    """Nobody has trust any more from before that version was committed."""

    def left(begun: int) -> int:
        return begun if begun >= version else EXPIRED

    return state._replace(
        trust=tuple(map(left, state.trust)),
        renewals=tuple(each._replace(begun=left(each.begun)) for each in state.renewals),
    )


def _wait(state: State, index: int, rules: Rules, bounds: Bounds) -> Steps:
    """Until the record is done, or a length of trust after the COMMIT."""
    version = state.writers[index].version
    if state.records[version - 1] != "p" or not rules.writer_waits:
        yield from _answer(state, index, then="idle")
    elif bounds.renewals:
        later = _after_a_length_of_trust(state, version)
        yield from _answer(later, index, then="idle")


def _answer(state: State, index: int, *, then: str) -> Steps:
    version = state.writers[index].version
    answered = state._replace(answered=max(state.answered, version))
    kept = version if then == "marking" else 0
    yield f"answers {version}", with_writer(answered, index, phase=then, version=kept)


def _killed(state: State, index: int) -> State:
    """A transaction that was not committed is rolled back."""
    state = spend(state, kills=state.faults.kills - 1)
    state = with_writer(state, index, phase="dead", left=0, version=0, fenced=False, fills=False)
    return state._replace(lock=None) if state.lock == index else state
