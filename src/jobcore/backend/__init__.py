"""What a driver is written against: the protocol, its values, its states, its errors.

A driver imports this package and nothing else of jobcore.
"""

from jobcore.backend.abilities import (
    Confined,
    Diagnoses,
    Joins,
    Makes,
    Migrates,
    Transaction,
    Transacts,
    Wakes,
)
from jobcore.backend.checks import (
    MAX_PRIORITY,
    MIN_PRIORITY,
    check_claim,
    check_extend,
    check_id,
    check_peek,
    check_push,
    check_queue,
    check_reclaim,
    check_settle,
)
from jobcore.backend.clock import Clock, SystemClock
from jobcore.backend.findings import Finding, Level
from jobcore.backend.opening import Opener
from jobcore.backend.options import url_options
from jobcore.backend.protocol import Backend
from jobcore.backend.states import FINISHED, MOVES, REDRIVABLE, Move, State
from jobcore.backend.values import (
    Answer,
    Claim,
    Claimed,
    Counts,
    Entry,
    Fail,
    Hold,
    Keep,
    Outcome,
    Page,
    Push,
    Pushed,
    Retry,
    Return,
    Succeed,
)
from jobcore.errors import (
    BackendError,
    ConfigurationError,
    InvalidArgument,
    QueueClosed,
    Refused,
    Unavailable,
    Uncertain,
)

__all__ = [
    "FINISHED",
    "MAX_PRIORITY",
    "MIN_PRIORITY",
    "MOVES",
    "REDRIVABLE",
    "Answer",
    "Backend",
    "BackendError",
    "Claim",
    "Claimed",
    "Clock",
    "ConfigurationError",
    "Confined",
    "Counts",
    "Diagnoses",
    "Entry",
    "Fail",
    "Finding",
    "Hold",
    "InvalidArgument",
    "Joins",
    "Keep",
    "Level",
    "Makes",
    "Migrates",
    "Move",
    "Opener",
    "Outcome",
    "Page",
    "Push",
    "Pushed",
    "QueueClosed",
    "Refused",
    "Retry",
    "Return",
    "State",
    "Succeed",
    "SystemClock",
    "Transaction",
    "Transacts",
    "Unavailable",
    "Uncertain",
    "Wakes",
    "check_claim",
    "check_extend",
    "check_id",
    "check_peek",
    "check_push",
    "check_queue",
    "check_reclaim",
    "check_settle",
    "url_options",
]
