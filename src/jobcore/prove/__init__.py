"""Proving a store: real processes work through a queue while things die, and a checker says what came of it."""
