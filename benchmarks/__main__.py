"""`python -m benchmarks`: how fast it is, beside others, beside itself, and with ever more mail."""

from benchmarks.cli import main

if __name__ == "__main__":
    main()
