"""jobcore: an at-least-once job queue with pluggable backends."""
