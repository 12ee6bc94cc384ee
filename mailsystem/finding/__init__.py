"""Finding messages: what must be read to know which ones are meant, for whoever asks in whatever words.

IMAP's SEARCH asks by keys (`key`) for the messages of one mailbox, all of them at once (`searching`). Everybody else asks
by a `mail.query` for the newest ones of an account, page by page (`finder`). Both become the same keys, and are answered out
of memory and the index as far as these can tell; only the rest is read.
"""
