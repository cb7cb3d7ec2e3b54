# /// script
# dependencies = ["celery[redis]==5.7.0", "redis==8.1.0"]
# [tool.peer]
# store = "redis"
# jobs = 1000
# again = false
# settings = "16 threads, acknowledges before it runs (its default), no results"
# ///
"""Celery on Redis as it comes: a task is acknowledged before it runs."""

from with_celery import main

main(late=False)
