"""How a message comes in: by DATA or in chunks by BDAT, into a spool, judged on its way and no faster given up than read."""

from __future__ import annotations

from typing import Final

from mailsystem.net import Closed
from mailsystem.smtp import replies
from mailsystem.smtp.conversation import Conversation, Rules, TooSlow
from mailsystem.smtp.data import ChunkReader, DataReader, Hops, Lacking, Opening, normalized
from mailsystem.smtp.replies import Refusal
from mailsystem.store import Spool
from mailsystem.telemetry.trace import CLIENT

READ_OVER: Final = 64 << 20
"""Octets beyond twice the limit that are read and dropped for the sake of a proper reply, before a client is cut off."""


class Reception:
    """A message on its way in: where it is kept, what speaks against it, and how long its client may take."""

    def __init__(self, rules: Rules, spool: Spool, *, binary: bool, now: float) -> None:
        self.spool = spool
        self.fault: Exception | None = None
        """The first thing that spoke against the message; what follows it is read and dropped."""
        self._binary = binary
        self._chunks: ChunkReader | None = None
        self._rules = rules
        self._opening = Opening()
        self._hops = Hops()
        self._lacking = Lacking() if rules.kind == "submission" else None
        self._begun = now
        self._waited = 0.0
        self._received = 0

    @property
    def missing(self) -> tuple[str, ...]:
        """Fields that a submission came without."""
        return self._lacking.fields if self._lacking else ()

    @property
    def unheaded(self) -> bool:
        """Whether it begins with no header, nor with an empty one: its first line is text, or goes on what is before it."""
        return not self._opening.headed

    @property
    def chunks(self) -> ChunkReader:
        """For BDAT."""
        if self._chunks is None:
            self._chunks = ChunkReader(binary=self._binary)
        return self._chunks

    async def keep(self, piece: bytes, *, bare: bool, more: bool = True) -> None:
        """Store a piece, if nothing spoke against the message so far."""
        if self.fault is not None:
            return
        self.fault = self._keep(piece, bare=bare)
        if self.fault is None and more and self.spool.wants_flush:
            try:
                await self.spool.flush()
            except Exception as error:
                self.fault = error
        if self.fault is not None:
            self.spool.discard()

    def _keep(self, piece: bytes, *, bare: bool) -> Exception | None:
        """Store a piece; returns what speaks against the message.

        8-bit octets are taken without BODY=8BITMIME and lines of any length, since refusing them helps nobody. So are
        NULs and other controls: RFC 5321 4.5.2 has all characters delivered, and the best servers take them too.
        """
        if bare:
            if self._rules.bare_newline == "refuse":
                return Refusal(replies.BARE_NEWLINE)
            if self._rules.bare_newline == "normalize":
                piece = normalized(piece)
        self._hops.feed(piece)
        if self._hops.count > self._rules.hop_limit:
            return Refusal(replies.LOOPING)
        if self._lacking:
            self._lacking.feed(piece)
        self._opening.feed(piece)
        if self.spool.size + len(piece) > self._rules.size_limit:
            return Refusal(replies.MESSAGE_TOO_LARGE)
        self.spool.write(piece)
        return None

    # Pace: only the time spent waiting for the client counts against its rate, not what our own disk takes.

    def patience(self, now: float) -> float:
        """Seconds that the client has for its next octets. Raises `TooSlow` when it has none left."""
        rules = self._rules
        most = rules.data_timeout
        if rules.data_total:
            most = min(most, self._begun + rules.data_total - now)
        if rules.minimum_rate:
            most = min(most, max(rules.rate_grace, self._received / rules.minimum_rate) - self._waited)
        if most <= 0:
            raise TooSlow
        return most

    def came(self, octets: int, waited: float) -> None:
        """So much came, after so many seconds."""
        self._received += octets
        self._waited += waited


class Receiving(Conversation):
    """What DATA and BDAT do with octets."""

    def _may_receive(self) -> None:
        """Raises `Refusal` where there is no transaction that a message could belong to."""
        if self.envelope.sender is None:
            raise Refusal(replies.MAIL_FIRST)
        if not self.envelope.recipients:
            # RFC 5321 3.3, and RFC 2033 4.2 where there would be nobody to answer for
            raise Refusal(replies.NO_RECIPIENTS_LMTP if self.rules.kind == "lmtp" else replies.NO_RECIPIENTS)

    def _begin(self) -> Reception:
        """A place for the message. It is emptied with the transaction, whatever becomes of that."""
        binary = self.envelope.body == "BINARYMIME"
        self.envelope.spool = spool = self.contents.spool()
        self.envelope.reception = begun = Reception(self.rules, spool, binary=binary, now=self.loop.time())
        return begun

    async def _receive_data(self) -> None:
        """Read the message to its end, whatever is wrong with it, so that the next command is found; raise only then."""
        reception = self._begin()
        reader = DataReader()
        received = 0
        data = self._lines.take()
        while True:
            received += len(data)
            piece = reader.feed(data)
            await reception.keep(piece, bare=reader.bare, more=not reader.done)
            if reader.done:
                break
            if received > 2 * self.rules.size_limit + READ_OVER:
                raise Refusal(replies.MESSAGE_TOO_LARGE, close=True)  # there is no end in sight
            try:
                data = await self._read_on(reception)
            except (Closed, TooSlow):
                self._trace_octets(received, whole=False)
                raise
        self._lines.feed(reader.rest)
        self._trace_octets(received - len(reader.rest))
        await self._accept(reception)

    async def _receive_chunk(self, size: int, *, last: bool) -> None:
        """Read a chunk to its end, wanted or not (RFC 3030 2): what follows it is the next command."""
        if size > 2 * self.rules.size_limit + READ_OVER:
            raise Refusal(replies.MESSAGE_TOO_LARGE, close=True)
        try:
            self._may_receive()
        except Refusal as refusal:
            unwanted = Reception(self.rules, self.contents.spool(), binary=True, now=self.loop.time())
            unwanted.fault = refusal
            await self._read_chunk(unwanted, size)
            raise
        reception = self.envelope.reception or self._begin()
        try:
            if last and self.rules.kind == "lmtp":
                self._owed = len(self.envelope.taken)
            if reception.spool.size + size > self.rules.size_limit:
                reception.fault = Refusal(replies.MESSAGE_TOO_LARGE)
            await self._read_chunk(reception, size)
            if last:
                await reception.keep(reception.chunks.close(), bare=reception.chunks.bare, more=False)
                await self._accept(reception)
        finally:
            # A chunk that fails takes the message with it (RFC 3030 2): those that follow belong to none.
            if last or reception.fault is not None:
                self._set_post_data_state()
        if reception.fault is not None:
            raise reception.fault
        if not last:
            await self.push(replies.OK.saying(f"{size} octets"))

    async def _read_chunk(self, reception: Reception, size: int) -> None:
        left = size
        while left:
            if not self._lines:
                try:
                    self._lines.feed(await self._read_on(reception))
                except (Closed, TooSlow):
                    self._trace_octets(size - left, whole=False)
                    raise
            data = self._lines.take(left)
            left -= len(data)
            if reception.fault is None:
                piece = reception.chunks.feed(data)
                await reception.keep(piece, bare=reception.chunks.bare)
        self._trace_octets(size)

    async def _read_on(self, reception: Reception) -> bytes:
        """More of a message. One that is on its way is still taken when the program ends."""
        begun = self.loop.time()
        data = await self._read(reception.patience(begun), to_the_end=True)
        reception.came(len(data), self.loop.time() - begun)
        return data

    async def _accept(self, reception: Reception) -> None:
        """The message is whole: let it be delivered, and answer once, or in LMTP once for each recipient."""
        if reception.fault is not None:
            raise reception.fault
        answers = await self._call_handler_hook("DATA")
        self._errors = 0
        for answer in answers:
            await self.push(answer)
        await self.flush()

    def _trace_octets(self, count: int, *, whole: bool = True) -> None:
        if self.trace.wants_lines:
            self.trace.line(CLIENT, b"[%d octets]" % count if whole else b"[%d octets, and no end]" % count)
