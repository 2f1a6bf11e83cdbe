"""`python -m metier`: the same as the `metier` command."""

from metier.cli import main

if __name__ == "__main__":
    main()
