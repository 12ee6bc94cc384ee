"""The maildrop in the hands of one session, for every generation of POP: its lock, its messages, and what shall go.

Nothing goes but by `Maildrop.update`, and then all of it or nothing. The lock is the same for all of them, so whoever reads by
which protocol ever: there is one of them at a time.
"""

from mailsystem.maildrop.maildrop import Maildrop
from mailsystem.maildrop.view import Entry, View

__all__ = ["Entry", "Maildrop", "View"]
