"""A file that comes with a message."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Attachment:
    """Its name, its type and its octets, the transfer encoding undone."""

    filename: str
    """Empty where it has none."""
    type: str
    """`application/pdf`"""
    bytes: bytes = field(repr=False)
    cid: str | None = None
    """Its Content-ID without angle brackets, by which HTML shows it."""
    inline: bool = False

    @property
    def size(self) -> int:
        """Octets."""
        return len(self.bytes)

    @property
    def text(self) -> str:
        """As text in UTF-8. Raises `UnicodeDecodeError`."""
        return self.bytes.decode()

    def save(self, path: str | Path) -> Path:
        """Write it to a file; into a directory under its own name's last part."""
        path = Path(path)
        if path.is_dir():
            path /= Path(self.filename.replace("\\", "/")).name or "attachment"
        path.write_bytes(self.bytes)
        return path
