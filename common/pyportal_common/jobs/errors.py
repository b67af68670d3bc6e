"""How a run ends, if not well."""


class JobFailed(Exception):
    """The job cannot be done, now or later. The message is for the people who wanted it."""


class Cancelled(Exception):
    """Somebody cancelled the job while it ran, or nobody wants it any more, as the message says."""


class LeaseLost(Exception):
    """The claim has ended: another worker has the job, or had it. Nothing more may be changed."""


class RunReleased(Exception):
    """The worker has to stop, and another shall do the job from its beginning."""
