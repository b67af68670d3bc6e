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
    return 8 * index + state.writers[index].left


def late_steps(state: State, rules: Rules) -> Steps:
    """A server that hung executes what writers sent it."""
    for place, (name, token) in enumerate(state.late if not state.refuses else ()):
        script = scripts.fence if name == "fence" else scripts.unfence
        left = (*state.late[:place], *state.late[place + 1 :])
        executed = state._replace(redis=script(state.redis, token, rules), late=left)
        yield f"executes a late {name}", executed


def _fence(state: State, index: int, rules: Rules, bounds: Bounds) -> Steps:
    if state.refuses:
        yield "is refused a fence", with_writer(state, index, phase="committing")
    elif state.links[bounds.readers + index] == "up":
        redis = scripts.fence(state.redis, token_of(state, index), rules)
        if not rules.no_own_fill:
            redis = redis._replace(value=state.committed + 1)
        fenced = state._replace(redis=redis)
        yield "sets its fence", with_writer(fenced, index, phase="committing", fenced=True)
    for cut in _cut(state, index, "fence", bounds):
        yield "gets no reply before COMMIT", with_writer(cut, index, phase="committing")


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
        yield "is refused after COMMIT", with_writer(state, index, phase="waiting")
    elif state.links[bounds.readers + index] == "up":
        redis = scripts.unfence(state.redis, token_of(state, index), rules)
        unfenced = state._replace(redis=redis)
        yield "removes its fence", with_writer(unfenced, index, phase="answering")
    for cut in _cut(state, index, "unfence", bounds):
        yield "gets no reply after COMMIT", with_writer(cut, index, phase="waiting")


def _cut(state: State, index: int, name: str, bounds: Bounds) -> list[State]:
    """A command without a reply: it is lost, or Redis may execute it later."""
    if not state.faults.cuts:
        return []
    cut = spend(state, cuts=state.faults.cuts - 1)
    late = tuple(sorted((*cut.late, (name, token_of(state, index)))))
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
    state = with_writer(state, index, phase="dead", left=0, version=0, fenced=False)
    return state._replace(lock=None) if state.lock == index else state
