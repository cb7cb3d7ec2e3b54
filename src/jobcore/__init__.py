"""jobcore: an at-least-once job queue with pluggable backends.

Importing this loads no driver and no database library: a driver is loaded when a URL first needs it.
"""

from jobcore.backend import Entry, State
from jobcore.connect import open_backend
from jobcore.errors import EnqueueUncertain, JobcoreError
from jobcore.functions import FunctionJob
from jobcore.job import (
    ExceptionBehavior,
    ExponentialBackoff,
    Failure,
    Job,
    JobContext,
    JobTimeout,
    LinearBackoff,
    Result,
    Retry,
    Success,
)
from jobcore.monitor import Monitor
from jobcore.queue import Queue
from jobcore.worker import Worker

__all__ = [
    "EnqueueUncertain",
    "Entry",
    "ExceptionBehavior",
    "ExponentialBackoff",
    "Failure",
    "FunctionJob",
    "Job",
    "JobContext",
    "JobTimeout",
    "JobcoreError",
    "LinearBackoff",
    "Monitor",
    "Queue",
    "Result",
    "Retry",
    "State",
    "Success",
    "Worker",
    "open_backend",
]
