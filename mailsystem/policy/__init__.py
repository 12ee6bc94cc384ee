"""How much of whom: back-off for wrong passwords, and what stands before the SMTP door.

- `guard` wraps a directory: whoever guesses passwords is let wait, by account and by address.
- `gate` is asked by the SMTP door: messages an hour, block lists, greylisting, all off unless asked for; and for recipients
  elsewhere, suppressed addresses and the caps of a day.
- `relay` says what would make an open relay of this server.

Counts are kept in memory, bounded and per process; greylisting, caps of a day and suppressed
addresses are kept in the store.
"""
