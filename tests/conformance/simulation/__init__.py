"""The loops under simulation: workers, monitors and a faulty network, taking turns under a seeded scheduler."""
