"""`python -m centripetal`: the same as the command `centripetal`."""

from .cli.main import main

if __name__ == "__main__":
    main()
