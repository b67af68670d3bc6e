"""The rules of the cache protocol, which can be switched off, and the bounds of a search."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """The protocol. With all rules on it is the one that the services run."""

    fence: bool = True  # nobody gets a lease while a writer is about to commit
    removal_before_commit: bool = True  # whoever puts up a fence removes value and lease
    removal_after_commit: bool = True  # whoever lifts it removes them again
    lift_own_fence_only: bool = True  # another writer's stays
    no_own_fill: bool = True  # a writer does not put its own row into the cache
    lease_in_publish: bool = True  # a fill needs the lease that the loader was given
    invalidation_takes_lease: bool = True  # by fence and lift
    load_in_new_session: bool = True  # a load sees what is committed when it begins
    share_only_accepted_fills: bool = True  # among the threads of a process
    close_before_fill: bool = True  # nobody joins a load once its fill is sent
    record: bool = True  # every transaction writes down what Redis has to hear of
    strict_waits: bool = True  # a strict writer that Redis did not hear answers after the sweep
    sweep: bool = True  # pending records are made up for
    sweep_takes_lease: bool = True
    sweep_takes_lease_first: bool = True  # and the value after it
    sweep_leaves_fences: bool = True
    greeting: bool = True  # a server that has started anew is told of the records before use
    replay_done_records: bool = True  # not of pending ones only
    replay_takes_lease: bool = True
    marker_after_replay: bool = True  # others use the server only after it was told
    purge_after_a_minute: bool = True  # longer than what a crash forgets
    purge_when_known: bool = True  # not while a server that has started anew waits to be told


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many processes there are, what they do, and how often each thing goes wrong."""

    readers: int = 1
    reads: int = 1  # of each reader
    writers: int = 1
    writes: int = 1  # of each writer
    strict: bool = False
    one_process: bool = False  # the readers are threads that share loads
    refresh: bool = False  # readers may load a value anew that is there
    crashes: int = 0  # of Redis, each of which forgets any number of its last writes
    kills: int = 0  # of writers
    cuts: int = 0  # calls of a writer that Redis does not hear
    expiries: int = 0  # of fences and leases, at any time
    minutes: int = 0  # after which Redis has on its disk what it had been told
