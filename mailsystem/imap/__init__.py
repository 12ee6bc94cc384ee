"""The IMAP door (RFC 3501): bytes become values in `framing` and `grammar`, values become bytes in `reply`."""
