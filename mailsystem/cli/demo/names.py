"""The name server of the demonstration: what it is asked and what it answers is told like all the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dns.message
import dns.rdatatype

from mailsystem.cli.demo.dns import NameServer, text_of
from mailsystem.telemetry import Sink, Trace


class Told(NameServer):
    """One that tells a trace of every answer."""

    def __init__(self, records: Mapping[str, Sequence[str]], trace: Trace) -> None:
        super().__init__(records)
        self._trace = trace

    async def reply(self, octets: bytes, most: int) -> bytes | None:
        said = await super().reply(octets, most)
        if said is not None:
            answer = dns.message.from_wire(said)
            [question] = answer.question
            self._trace.event(
                "asked the DNS",
                question=text_of(question.name),
                kind=dns.rdatatype.to_text(question.rdtype),
                answers=[str(record) for records in answer.answer for record in records],
            )
        return said

    def publish(self, texts: Mapping[str, Sequence[str]]) -> None:
        """Let it know further records of type TXT, each by the strings that it is made of."""
        for name, strings in texts.items():
            self.records[name] = ["TXT " + " ".join(f'"{one}"' for one in strings)]


def names(records: Mapping[str, Sequence[str]], sink: Sink) -> Told:
    """One that knows `records` and tells `sink`, whoever asks."""
    return Told(records, Trace([sink], door="dns"))
