"""The settings of workers."""

from pydantic import Field

from ..settings import Settings


class WorkerSettings(Settings):
    """The settings of a worker process."""

    worker_threads: int = Field(8, ge=1, le=64)
    # For running jobs after SIGTERM; then they are handed back at their next step.
    worker_grace_seconds: float = Field(20, ge=0, le=3600)
    worker_metrics_port: int | None = Field(None, ge=1, le=65535)
    # /health is degraded by a worker without a heartbeat for so long, and by a job that was due for
    # so long and is not started.
    worker_silent_seconds: float = Field(15, ge=1, le=600)
    job_late_seconds: float = Field(60, ge=1, le=86400)
    job_attempts: int = Field(5, ge=1, le=100)
    # A worker that has not renewed its lease for so long counts as dead.
    job_lease_seconds: float = Field(15, ge=0.5, le=600)
