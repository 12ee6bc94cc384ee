"""Rules about what a message holds and shows: its parts, text, HTML and images."""

from __future__ import annotations

from typing import Final

from mailsystem.checks.rule import Rule, Severity

_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO

# Parts
BOUNDARY_MISSING: Final = Rule(
    "boundary-missing",
    _E,
    "a multipart has no boundary",
    "Without a boundary nobody knows where its parts are, and all of it is shown as text.",
    "RFC 2046 5.1.1",
)
MULTIPART_EMPTY: Final = Rule(
    "multipart-empty",
    _E,
    "a multipart has no part",
    "Its boundary never occurs in it. Programs show nothing, or all of it as text.",
    "RFC 2046 5.1.1",
)
MULTIPART_OPEN: Final = Rule(
    "multipart-open",
    _E,
    "a multipart is never closed",
    "Its last delimiter, the boundary with two hyphens behind it, is missing. Mostly the message was cut off.",
    "RFC 2046 5.1.1",
)
NESTED_DEEPLY: Final = Rule(
    "nested-deeply",
    _W,
    "parts are nested deeper than ten levels",
    "Nobody nests parts that deep by hand. Filters give up on it and refuse the message, programs show nothing.",
)
CID_BROKEN: Final = Rule(
    "cid-broken",
    _E,
    "a cid: address leads to no part",
    "The HTML shows a part of this message by its Content-ID, and no part has that one. Readers see a broken image.",
    "RFC 2392 2",
)
CID_UNUSED: Final = Rule(
    "inline-unused",
    _W,
    "an inline image is shown nowhere",
    "A part within multipart/related, or an inline one with a Content-ID, is not mentioned in the HTML. Some programs "
    "show it as an attachment, others never.",
    "RFC 2387 4, RFC 2392 2",
)
CID_DUPLICATE: Final = Rule(
    "cid-duplicate",
    _E,
    "two parts have the same Content-ID",
    "A Content-ID names one part. With two of them each program shows another.",
    "RFC 2392 2",
)
DANGEROUS: Final = Rule(
    "attachment-dangerous",
    _W,
    "an attachment is of a kind that many servers refuse",
    "Programs, scripts and files that start them are refused by the large providers, inside archives too.",
)

# What is shown
TEXT_MISSING: Final = Rule(
    "text-missing",
    _W,
    "there is HTML but no plain text",
    "Watches, screen readers, terminal programs and filters read the plain text. Give the same content as text/plain "
    "within multipart/alternative.",
    "RFC 2046 5.1.4",
)
TEXT_DIFFERS: Final = Rule(
    "text-differs",
    _W,
    "the plain text says something else than the HTML",
    "The parts of multipart/alternative are one content in several forms. Those who read the text miss what only the "
    "HTML says, and filters take the difference for a trick.",
    "RFC 2046 5.1.4",
)
ALTERNATIVE_ORDER: Final = Rule(
    "alternative-order",
    _W,
    "the plain text comes after the HTML",
    "Of multipart/alternative programs show the last form that they understand. If that is the plain text, nobody sees "
    "the HTML.",
    "RFC 2046 5.1.4",
)
BODY_EMPTY: Final = Rule(
    "body-empty",
    _W,
    "there is nothing to read",
    "The message has neither text nor an image nor an attachment. Mostly a template was not filled.",
)
HTML_CLIPPED: Final = Rule(
    "html-clipped",
    _W,
    "the HTML is larger than 102 kB",
    "Gmail shows about the first 102 kB of HTML and hides the rest behind a link, the link to unsubscribe and the "
    "counting pixel included.",
    hint="Leave out comments, spaces and styles that are not used.",
)
ALT_MISSING: Final = Rule(
    "alt-missing",
    _W,
    "an image has no alternative text",
    "Until images are loaded, and to those who cannot see them, the alt text is all there is. An image for looks alone "
    "has an empty one.",
    "HTML Living Standard 4.8.4.4",
)
IMAGE_UNSIZED: Final = Rule(
    "image-unsized",
    _I,
    "an image says no size",
    "Without width or height the text jumps when the image is loaded, and blocked images take no or too much space.",
)
REMOTE_CONTENT: Final = Rule(
    "remote-content",
    _I,
    "remote content is loaded",
    "Images and styles that lie elsewhere tell their owner who reads the message, when and where. Many programs do not "
    "load them unless asked.",
)
ACTIVE_CONTENT: Final = Rule(
    "active-content",
    _W,
    "the HTML has scripts, forms or frames",
    "Mail programs remove them, or refuse the message.",
)
HTML_UNSUPPORTED: Final = Rule(
    "html-unsupported",
    _W,
    "too many mail programs do not show a feature of HTML or CSS",
    "Fewer of the programs that have been tried than --html-support asks for show it at all. Their readers see the message "
    "without it. Without --html-support nobody looks.",
    "Can I email (caniemail.com)",
    "Make sure that the message can be read without it, or use what more programs show.",
)
HTML_PARTIAL: Final = Rule(
    "html-partial",
    _I,
    "too many mail programs show a feature of HTML or CSS in part only",
    "Enough programs show it in some way, but fewer than --html-support asks for show it as it is meant. The address in the "
    "finding tells what each of them leaves out.",
    "Can I email (caniemail.com)",
)
SCRIPT_LINK: Final = Rule(
    "script-link",
    _E,
    "a link runs a script",
    "Addresses that begin with javascript:, vbscript: or data: are removed by mail programs and taken for an attack by "
    "filters.",
)
LINK_DISGUISED: Final = Rule(
    "link-disguised",
    _W,
    "a link shows another host than it leads to",
    "The words of the link are an address, and it leads to another host. That is what fraud does, so programs warn of "
    "it, also when a service that counts clicks is the reason.",
    hint="Show words instead of an address, or the host to which the link leads.",
)
LINK_EMPTY: Final = Rule(
    "link-empty",
    _W,
    "a link leads nowhere",
    "Its address is empty or no more than #.",
)
LINK_LOCAL: Final = Rule(
    "link-local",
    _W,
    "an address leads to the sender's own machine or network",
    "Nobody else can open localhost, a private address, or a name that is not in public DNS. Mostly a setting of the "
    "application still names its test server.",
)
PLACEHOLDER: Final = Rule(
    "placeholder",
    _W,
    "a placeholder was not filled",
    "The text holds what looks like a variable of a template language, such as {{ name }} or %%NAME%%.",
)
