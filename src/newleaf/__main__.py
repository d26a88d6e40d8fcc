"""`python -m newleaf`: the same as `newleaf`."""

from newleaf.cli.main import main

if __name__ == "__main__":
    main()
