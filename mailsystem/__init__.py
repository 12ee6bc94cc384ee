"""A whole small mail system: SMTP in, POP3 and IMAP out, one store between them.

Doors (`smtp`, `pop3`, `imap`) speak protocols; one vault (`store`) keeps mail; between them a short corridor (`delivery`,
`directory`) decides and carries. Doors never know each other, values flow down, and nobody looks up. `app` knows every
room and wires them once; `cli` is its voice.
"""

__version__ = "0.1.0"
