"""`python -m mailsystem` is the command `mailsystem`."""

import sys


def main() -> None:
    """Ctrl-C ends it without a word, also while it is still being loaded."""
    try:
        from mailsystem.cli import main as command

        command()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
