"""The rules of the cache protocol, which can be switched off, and the bounds of a search."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """The protocol. The services follow all of these rules."""

    fence: bool = True  # no reader gets a lease while a writer is about to commit
    removal_before_commit: bool = True  # setting a fence removes value and lease
    removal_after_commit: bool = True  # removing the fence removes them again
    unfence_own_only: bool = True  # the fences of other writers stay
    own_fill_after_commit: bool = True  # a writer does not cache what it has not committed
    own_fill_needs_lease: bool = True  # which it was given with its fence
    own_fill_needs_fence: bool = True  # whose reply it has
    lease_in_publish: bool = True  # a fill needs the lease that the loader was given
    invalidation_takes_lease: bool = True  # when a fence is set, and when it is removed
    load_in_new_session: bool = True  # a load sees what is committed when it begins
    share_only_accepted_fills: bool = True  # among the threads of a process
    close_before_fill: bool = True  # no thread joins a load once its fill is sent
    record: bool = True  # every transaction records its invalidation in SQL
    writer_waits: bool = True  # without a reply from Redis: for a length of trust, or its record
    sweep: bool = True  # pending records are applied later
    sweep_takes_lease: bool = True
    sweep_takes_lease_first: bool = True  # and the value after it
    sweep_leaves_fences: bool = True
    replay_on_connect: bool = True  # records are applied to a restarted server before its use
    replay_done_records: bool = True  # not only the pending ones
    replay_takes_lease: bool = True
    marker_after_replay: bool = True  # other processes use the server only after the replay
    purge_after_a_minute: bool = True  # longer than what a crash loses
    purge_only_when_marked: bool = True  # not while a restarted server waits for its replay
    trust_before_read: bool = True  # it is checked before the GET, not after
    trust_from_start: bool = True  # of the renewal, not from its end
    renewal_takes_young: bool = True  # records of writers that may still apply them themselves
    renewal_takes_lease: bool = True
    renewal_writes: bool = True  # and fails on a server that refuses writes
    refresh_only_what_was_seen: bool = True  # not a value that was refreshed since


@dataclass(frozen=True, slots=True)
class Bounds:
    """The number of processes, of their operations, and of the faults of each kind."""

    readers: int = 1
    reads: int = 1  # of each reader
    writers: int = 1
    writes: int = 1  # of each writer
    fills: bool = False  # writers fill the cache with their own rows when they remove their fences
    one_process: bool = False  # the readers are threads that share loads
    refresh: bool = False  # readers may refresh a value that is cached
    crashes: int = 0  # of Redis; each loses any number of its last writes
    kills: int = 0  # of writers
    cuts: int = 0  # calls of a writer without a reply from Redis
    late: bool = False  # which Redis may execute later
    refusals: int = 0  # times at which Redis begins to refuse writes
    sweeps: bool = True
    renewals: int = 0  # of trust; without any, it does not end
    expiries: int = 0  # of fences and leases, at any time
    minutes: int = 0  # after which everything that Redis had received is on its disk
