"""A target for atheris: `python target.py smtp|pop3|imap CORPUS [libFuzzer's options]`; ends with 0 where nothing was found."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent))

with atheris.instrument_imports(include=["mailsystem.smtp", "mailsystem.pop3", "mailsystem.imap", "mailsystem.mail"]):
    from sessions import SEEDS, WORDS, Doors


def main() -> None:
    protocol, corpus, *options = sys.argv[1:]
    place = Path(corpus)
    place.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[protocol]):  # type: ignore[index]
        for how in (0, 1, 2, 4, 24, 28):
            (place / f"seed-{number}-{how}").write_bytes(bytes([how]) + seed)
    words = place.with_suffix(".dict")
    words.write_text(
        "".join('"' + "".join(f"\\x{octet:02x}" for octet in word) + '"\n' for word in WORDS[protocol])  # type: ignore[index]
    )
    # atheris ends the process without a word: whoever gave the place of the corpus removes the store beside it.
    doors = Doors(place.parent)
    atheris.Setup(
        [sys.argv[0], f"-dict={words}", *options, str(place)],
        lambda data: doors.try_out(protocol, data) and None,  # type: ignore[arg-type]
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
