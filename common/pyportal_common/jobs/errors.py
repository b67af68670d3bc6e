"""The ways in which a run of a job ends early."""


class JobFailed(Exception):
    """The job cannot be done, now or later. The message is shown to users."""


class Cancelled(Exception):
    """The job was cancelled while it ran, or is no longer needed for the reason in the message."""


class LeaseLost(Exception):
    """The claim has ended: another worker has or had the job, and this one may change nothing."""


class RunReleased(Exception):
    """The worker has to stop, and another one must run the job from the beginning."""
