"""Passwords that the settings name, in themselves and in a file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from mailsystem.app.startup import StartupError, said

if TYPE_CHECKING:
    from pydantic import SecretStr

    from mailsystem.directory.htpasswd import Htpasswd


async def passwords(given: SecretStr | None, file: Path | None, name: str) -> Htpasswd | None:
    """Those of a setting of that name and of its file; None where neither is there. Raises `StartupError`."""
    if given is None and file is None:
        return None
    from mailsystem.directory.htpasswd import Htpasswd

    text = "" if given is None else given.get_secret_value()
    try:
        lines = "" if file is None else await asyncio.to_thread(file.read_text)
        known = Htpasswd.parse("\n".join((*text.split(), lines)))
    except OSError as error:
        raise StartupError(f"cannot read {file} ({name}_file): {said(error)}") from None
    except ValueError as error:
        raise StartupError(f"{name}: {error}") from None
    if not known:
        raise StartupError(f"{name} names nobody, so that nobody could come in")
    return known
