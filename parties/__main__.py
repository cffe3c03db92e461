"""``python -m parties`` is the ``hecf`` command."""

from parties.cli import main

if __name__ == "__main__":
    main()
