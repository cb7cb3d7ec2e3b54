"""Jobs in PostgreSQL: one SQL file per verb in sql/, on connections of the driver's own."""

from jobcore.backends.postgres.backend import PostgresBackend
from jobcore.backends.postgres.url import connect

__all__ = ["PostgresBackend", "connect"]
