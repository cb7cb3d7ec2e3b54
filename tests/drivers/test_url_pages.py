"""Each driver's page tells of the options that its URLs take, and of no others."""

import re
from pathlib import Path

import pytest
from psycopg.pq import Conninfo

from jobcore import open_backend
from jobcore.errors import ConfigurationError

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {
    "redis.md": ("redis://host", "rediss://host", "unix:///socket", "redis+cluster://host"),
    "postgres.md": ("postgresql://host/db",),
    "sqlite.md": ("sqlite:///jobs.db",),
}


def taken(url: str) -> set[str]:
    """The options of a URL, as the error for one that is like none of them lists them."""
    with pytest.raises(ConfigurationError) as refused:
        open_backend(f"{url}?zzzzzz=1")
    return set(str(refused.value).partition("there are: ")[2].split(", "))


@pytest.mark.parametrize("page", PAGES)
def test_the_table_of_options_is_the_driver_s(page: str) -> None:
    table = (DOCS / page).read_text().partition("\n| option |")[2].partition("\n\n")[0]
    told = {name for row in table.splitlines()[1:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    libpq = {option.keyword.decode() for option in Conninfo.get_defaults()} if page == "postgres.md" else set()
    assert told == {name for url in PAGES[page] for name in taken(url)} - libpq
