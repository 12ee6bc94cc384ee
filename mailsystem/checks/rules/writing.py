"""Rules about how a message is written: its lines, header fields and encodings."""

from __future__ import annotations

from typing import Final

from mailsystem.checks.rule import Rule, Severity

_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO

# Octets and lines
UNIX_LINE_ENDS: Final = Rule(
    "unix-line-ends",
    _I,
    "lines end in LF alone, as files do",
    "Mail travels with CRLF at the end of each line. No line of this file has one, so it was taken for a message that "
    "a program has saved as a text file, and was checked as if its lines ended in CRLF.",
    "RFC 5321 2.3.8",
)
BARE_LF: Final = Rule(
    "bare-lf",
    _E,
    "a line ends in LF without CR",
    "A line feed without a carriage return is no line end in mail. Some servers refuse it, others end the message "
    "there: by that a second message can be smuggled in. Signatures break when a server on the way mends it.",
    "RFC 5321 2.3.8",
    "End every line in CRLF.",
)
BARE_CR: Final = Rule(
    "bare-cr",
    _E,
    "a CR stands alone",
    "A carriage return may only stand in front of a line feed. Servers disagree about one that stands alone, and "
    "change or refuse it.",
    "RFC 5322 2.3",
    "End every line in CRLF, and encode text that holds other line ends.",
)
NUL: Final = Rule(
    "nul",
    _E,
    "there is a NUL octet",
    "The octet 0 may not be in a message. Programs that take it for the end of a string lose what follows.",
    "RFC 5322 4.1",
    "Encode binary content in base64.",
)
LONG_LINE: Final = Rule(
    "long-line",
    _E,
    "a line is longer than 998 octets",
    "A line has at most 998 octets besides its line end. Servers refuse a longer one or cut it in two, which breaks "
    "words, links and signatures.",
    "RFC 5322 2.1.1",
    "Encode the part as quoted-printable or base64, and fold long header fields.",
)
WIDE_LINE: Final = Rule(
    "wide-line",
    _I,
    "a line is longer than 78 octets",
    "Lines should have at most 78 octets besides their line end. Longer ones are allowed, but look bad in programs "
    "that do not wrap them.",
    "RFC 5322 2.1.1",
)
EIGHT_BIT_HEADER: Final = Rule(
    "eight-bit-header",
    _E,
    "there are octets beyond ASCII in the header",
    "A header field holds ASCII only, unless both servers speak SMTPUTF8. Otherwise names and subjects arrive as "
    "garbage, and some servers refuse the message.",
    "RFC 5322 2.2, RFC 6532 3",
    "Write such words as encoded words (RFC 2047), or send with SMTPUTF8.",
)
HEADER_SYNTAX: Final = Rule(
    "header-syntax",
    _E,
    "a line of the header is no field",
    "Every line of the header is a name, a colon and a value, or begins with a space and goes on with the line before. "
    "Programs pass over another line, or take it for the beginning of the body, and then show the rest of the header "
    "as text.",
    "RFC 5322 2.2",
)
HEADER_CONTROLS: Final = Rule(
    "header-controls",
    _W,
    "there is a control character in the header",
    "Control characters in header fields are shown as garbage or break programs; they are often left by values that "
    "were not cleaned.",
    "RFC 5322 2.2",
)

# Header fields
DATE_MISSING: Final = Rule(
    "date-missing",
    _E,
    "there is no Date field",
    "Every message must have a Date. Without it programs sort the message anywhere, and filters take it for junk.",
    "RFC 5322 3.6",
)
DATE_MALFORMED: Final = Rule(
    "date-malformed",
    _E,
    "Date cannot be read",
    "A Date looks like `Fri, 27 Nov 2026 09:30:00 +0100`. Programs guess at another one, or show 1970.",
    "RFC 5322 3.3",
)
DATE_FAR_OFF: Final = Rule(
    "date-far-off",
    _W,
    "Date lies in the future",
    "A message from the future stays on top of every mailbox, and filters take it for junk. Mostly a clock or a time "
    "zone is wrong.",
    "RFC 5322 3.6.1",
)
FROM_MISSING: Final = Rule(
    "from-missing",
    _E,
    "there is no From field",
    "Every message must say whom it is from. Servers that check DMARC refuse one that does not.",
    "RFC 5322 3.6",
)
FROM_MALFORMED: Final = Rule(
    "from-malformed",
    _E,
    "From holds no complete address",
    "From holds one or more addresses with a local part and a domain. Servers that check DMARC refuse what they cannot "
    "read.",
    "RFC 5322 3.6.2",
)
SENDER_MISSING: Final = Rule(
    "sender-missing",
    _E,
    "From has several addresses and there is no Sender",
    "If there are several authors, Sender must say which of them has sent the message. Many servers refuse messages "
    "with several authors.",
    "RFC 5322 3.6.2",
)
ADDRESS_MALFORMED: Final = Rule(
    "address-malformed",
    _W,
    "something in a field of addresses is none",
    "It has no domain or local part, or it is written so that programs read different addresses in it: without angle brackets "
    "behind a name, with a comma in a name that is not quoted, parted by semicolons. Programs cannot answer to it, and servers "
    "may refuse it.",
    "RFC 5322 3.4",
    "Write addresses as ann@example.org or Ann <ann@example.org>, parted by commas, and quote names with a comma in them.",
)
MESSAGE_ID_MISSING: Final = Rule(
    "message-id-missing",
    _W,
    "there is no Message-ID field",
    "By its Message-ID a message is found in logs, recognised when it comes twice, and answered in the right thread. "
    "Filters take its absence for a sign of junk.",
    "RFC 5322 3.6.4",
)
MESSAGE_ID_MALFORMED: Final = Rule(
    "message-id-malformed",
    _W,
    "Message-ID does not look like <left@right>",
    "A Message-ID is one word with an @ in angle brackets. Others are not found again by replies and filters.",
    "RFC 5322 3.6.4",
)
HEADER_DUPLICATE: Final = Rule(
    "header-duplicate",
    _E,
    "a field stands there twice that may be there once",
    "Of two From, Subject or Date fields one program shows the first and another the last, so that a filter and a "
    "reader see different messages. Some servers refuse them.",
    "RFC 5322 3.6",
)
SUBJECT_EMPTY: Final = Rule(
    "subject-empty",
    _W,
    "the subject is missing or empty",
    "A message without a subject is overlooked, and filters take it for junk.",
    "RFC 5322 3.6.5",
)
BCC_SHOWN: Final = Rule(
    "bcc-shown",
    _W,
    "there is a Bcc field",
    "What is sent should hold no Bcc: everybody who gets the message can read whom else it was sent to.",
    "RFC 5322 3.6.3",
)
ENCODED_WORD: Final = Rule(
    "encoded-word",
    _W,
    "an encoded word cannot be read as it was meant",
    "An encoded word names a charset that is known, has at most 75 characters, no space in it, and whole characters. "
    "Otherwise it is shown as it is written, or as garbage.",
    "RFC 2047 2",
)
REPLY_ELSEWHERE: Final = Rule(
    "reply-elsewhere",
    _I,
    "replies go to another domain than the message came from",
    "Reply-To is in another domain than From. That is often meant so; filters look at it, because fraud does it as "
    "well.",
    "RFC 5322 3.6.2",
)
MIME_VERSION: Final = Rule(
    "mime-version-missing",
    _W,
    "there are MIME fields but no MIME-Version",
    "Without MIME-Version: 1.0 a program may take the message for plain text and show its parts and boundaries as they "
    "are.",
    "RFC 2045 4",
)

# Encodings
CHARSET_UNKNOWN: Final = Rule(
    "charset-unknown",
    _E,
    "the charset of a part is unknown",
    "Nobody knows how to read text in a charset that does not exist; programs guess.",
    "RFC 2046 4.1.2",
    "Use utf-8.",
)
CHARSET_WRONG: Final = Rule(
    "charset-wrong",
    _E,
    "a part does not decode in its charset",
    "The text holds octets that stand for nothing in the charset which is declared. Readers see replacement "
    "characters.",
    "RFC 2046 4.1.2",
    "Declare the charset in which the text was encoded; best is utf-8 for both.",
)
CHARSET_MISSING: Final = Rule(
    "charset-missing",
    _W,
    "a part has octets beyond ASCII and names no charset",
    "Without a charset text is US-ASCII. Each program guesses another one for the rest.",
    "RFC 2046 4.1.2",
    "Say charset=utf-8 in Content-Type.",
)
ENCODING_UNKNOWN: Final = Rule(
    "encoding-unknown",
    _E,
    "the transfer encoding of a part is unknown",
    "A part in an unknown Content-Transfer-Encoding is shown as an attachment that nobody can open.",
    "RFC 2045 6.4",
)
EIGHT_BIT_BODY: Final = Rule(
    "eight-bit-body",
    _E,
    "a part has octets beyond ASCII but says it is 7bit",
    "Such a part must say 8bit, quoted-printable or base64. A server on the way may strip the eighth bit, or send it "
    "as it is to another that cannot take it.",
    "RFC 2045 2.7",
)
ENCODED_MULTIPART: Final = Rule(
    "encoded-multipart",
    _E,
    "a multipart or message is encoded",
    "Only 7bit, 8bit and binary are allowed for parts that hold parts. Programs do not decode them, and see no parts.",
    "RFC 2045 6.4",
)
BASE64_DAMAGED: Final = Rule(
    "base64-damaged",
    _E,
    "the base64 of a part is damaged",
    "There are characters that are no base64, padding in its midst, or its end is missing. Each program reads "
    "something else, and attachments do not open.",
    "RFC 2045 6.8",
)
QP_DAMAGED: Final = Rule(
    "quoted-printable-damaged",
    _W,
    "the quoted-printable of a part is damaged",
    "An equals sign is followed by two hexadecimal digits or by the end of the line. Another one is shown as it is.",
    "RFC 2045 6.7",
)
ENCODED_LINE: Final = Rule(
    "encoded-line-long",
    _W,
    "an encoded line is longer than 76 characters",
    "Lines of quoted-printable and base64 have at most 76 characters. Strict programs cut them or refuse them. Up to 78, as "
    "some libraries write them, it is an info.",
    "RFC 2045 6.7, 6.8",
)
