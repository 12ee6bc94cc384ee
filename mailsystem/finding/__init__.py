"""Finding messages: what must be read to know which ones are meant, for whoever asks in whatever words.

IMAP's SEARCH asks by keys (`key`) for the messages of one mailbox, all of them at once (`Searching`). Everybody else asks
by a `Query` for the newest ones of an account, page by page (`Finder`). Both become the same keys, and are answered out of
memory and the index as far as these can tell; only the rest is read.
"""
