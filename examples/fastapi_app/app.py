"""A web application that answers at once and has its mail sent by a job.

pip install fastapi uvicorn sqlalchemy            # beside jobcore-queue
JOBCORE_URL=memory://app uvicorn app:app          # jobs run within the application
JOBCORE_URL=redis://localhost uvicorn app:app     # … and in `jobcore worker app:queue` elsewhere
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import Engine, create_engine, text

from jobcore import Job, Queue, Retry, Worker

DATABASE = "sqlite:///signups.db"


@contextmanager
def database() -> Iterator[Engine]:
    """The pool that jobs are run with: a worker opens it before its first job and closes it after its last."""
    engine = create_engine(DATABASE)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE IF NOT EXISTS outbox (recipient TEXT PRIMARY KEY, subject TEXT)"))
    yield engine
    engine.dispose()


queue = Queue("mail", lifespan=database)


@queue.job(max_attempts=5)
@dataclass(frozen=True)
class Welcome(Job[Engine]):
    to: str

    def run(self, engine: Engine) -> Retry | None:
        if self.to.endswith("@busy.example"):
            return Retry("mailbox busy", delay=30)
        with engine.begin() as connection:  # run twice, it writes once: jobs are run at least once
            connection.execute(
                text("INSERT INTO outbox VALUES (:to, 'Welcome') ON CONFLICT DO NOTHING"), {"to": self.to}
            )
        return None


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with Worker(queue):
        yield


app = FastAPI(lifespan=lifespan)


class SignUp(BaseModel):
    email: str


@app.post("/signups", status_code=202)
async def sign_up(form: SignUp) -> dict[str, str]:
    """Two sign-ups of one address send one mail: the id is the address's own."""
    return {"job": await queue.aenqueue(Welcome(form.email), id=f"welcome:{form.email}")}


@app.get("/jobs/{id}")
def job(id: str) -> dict[str, str]:
    entry = queue.find(id)
    return {"state": entry.state if entry else "done or unknown"}
