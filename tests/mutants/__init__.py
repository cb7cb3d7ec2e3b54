"""Negative controls: drivers with one bug each, which the suite must refuse by the law that the bug breaks."""
