"""Bytes that nobody meant, in great number, for whatever reads bytes: `make fuzz`."""
