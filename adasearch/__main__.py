"""``python -m adasearch`` is the command line."""

from adasearch.cli import main

if __name__ == "__main__":
    main()
