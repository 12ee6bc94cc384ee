"""`python -m mailsystem` is the command `mailsystem`."""

from mailsystem.cli import main

if __name__ == "__main__":
    main()
