"""`python -m jobcore` is `jobcore`."""

from jobcore.cli import main

if __name__ == "__main__":
    main()
