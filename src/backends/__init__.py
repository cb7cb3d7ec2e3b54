"""The drivers that come with jobcore; each is found by its URL scheme, as a stranger's is."""
