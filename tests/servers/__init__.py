"""Servers for the tests: each on a free port, in a scratch folder, ended by its process id."""
