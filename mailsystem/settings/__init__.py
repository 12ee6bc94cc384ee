"""Every knob of the program, described once: flags beat `MAILSYSTEM_…` variables beat `mailsystem.toml` beat the defaults.

`Settings()` is the defaults and nothing else; `load()` reads the world. Rooms never see this module: `app` unpacks it for them.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, SecretStr, ValidationError

from mailsystem.settings import mailpit
from mailsystem.settings.doors import (
    OFF,
    Imap,
    Imaps,
    Lmtp,
    Pop1,
    Pop2,
    Pop3,
    Pop3s,
    Smtp,
    Submission,
    Submissions,
    Web,
)
from mailsystem.settings.faults import Faults
from mailsystem.settings.group import Group
from mailsystem.settings.keeping import Retention, Spaces, seconds_of
from mailsystem.settings.model import PREFIX, Accounts, Limits, Log, Oauth, Pair, Policy, Settings, Tls, value_of
from mailsystem.settings.queue import Queue, name_server
from mailsystem.settings.sink import Sink, Tags

__all__ = [
    "OFF",
    "Accounts",
    "Faults",
    "Imap",
    "Imaps",
    "Knob",
    "Limits",
    "Lmtp",
    "Loaded",
    "Log",
    "Oauth",
    "Pair",
    "Policy",
    "Pop1",
    "Pop2",
    "Pop3",
    "Pop3s",
    "Queue",
    "Retention",
    "Settings",
    "SettingsError",
    "Sink",
    "Smtp",
    "Spaces",
    "Submission",
    "Submissions",
    "Tags",
    "Tls",
    "Web",
    "knobs",
    "load",
    "name_server",
    "seconds_of",
    "sink_defaults",
    "tls_defaults",
]

CONFIG_VARIABLE: Final = "MAILSYSTEM_CONFIG"
"""Names the file of settings; the only variable that is not a setting itself."""
SEARCHED: Final = (Path("mailsystem.toml"), Path("/etc/mailsystem/mailsystem.toml"))
DEFAULT: Final = "default"
_PATHS: Final = (
    "data_dir",
    "tls.cert",
    "tls.key",
    "lmtp.path",
    "web.auth_file",
    "sink.passwords_file",
    "queue.ca_file",
)


class SettingsError(Exception):
    """A setting that cannot be used; its text is one clear sentence for whoever wrote it."""


def sink_defaults(environ: Mapping[str, str] | None = None) -> dict[str, object]:
    """What `mailsystem sink` starts from instead: loopback, high ports, a directory of this user's own, and leniency."""
    environ = os.environ if environ is None else environ
    state = environ.get("XDG_STATE_HOME") or "~/.local/state"
    return {
        "data_dir": Path(state).expanduser() / "mailsystem" / "sink",
        "host": "127.0.0.1",
        "hostname": "localhost",
        "default_domain": "localhost",
        "workers": 1,
        "smtp.port": 1025,
        "pop3.port": 1110,
        "imap.port": 1143,
        "web.port": 8025,
        "web.tls": False,
        "cleartext_login": True,
        "limits.message_size": 1 << 30,
        "limits.recipients": 100_000,
        "limits.connections": 0,
        "limits.connections_per_address": 0,
        "bare_newline": "accept",
        "durable_flags": False,
    }


def tls_defaults() -> dict[str, object]:
    """The doors that a server with a certificate opens unless it is told otherwise (RFC 8314)."""
    return {"submission.port": 587, "submissions.port": 465, "pop3s.port": 995, "imaps.port": 993}


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting, as its reference tells it."""

    name: str
    """`smtp.port`"""
    description: str
    default: Any
    """None where it is worked out when the program starts."""

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper().replace(".", "__")

    @property
    def flag(self) -> str:
        return "--" + self.name.replace(".", "-").replace("_", "-")


def knobs(model: type[BaseModel] = Settings, group: str = "") -> Iterator[Knob]:
    """Every setting, in the order in which they stand above."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Group):
            yield from knobs(field.annotation, f"{group}{name}.")
        else:
            yield Knob(group + name, field.description or "", None if field.default_factory else field.default)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings in force and where each came from."""

    settings: Settings
    sources: Mapping[str, str]
    """Setting to `--flag`, `MAILSYSTEM_…`, the path of a file, `sink`, `tls` or `default`."""
    file: Path | None
    ignored: tuple[str, ...] = ()
    """Variables of Mailpit's that mean nothing in a sink."""

    def value(self, name: str) -> Any:
        """A setting by its dotted name; secrets as `**********`."""
        value = value_of(self.settings, name)
        return str(value) if isinstance(value, SecretStr) else value


def load(flags: Mapping[str, object] | None = None, *, config: Path | None = None, sink: bool = False) -> Loaded:
    """Read all sources. Raises `SettingsError` on what is unknown or unusable.

    `flags` are dotted names to values, None for those not given. The sink reads a file only if it is named: it must never
    stumble over the mailsystem.toml of a real server, whose mail it would open to any password.
    """
    known = {knob.name: knob for knob in knobs()}
    given: dict[str, tuple[object, str]] = {}
    if sink:
        given |= {name: (value, "sink") for name, value in sink_defaults().items()}
    file = _file(config, search=not sink)
    if file is not None:
        given |= {name: (value, str(file)) for name, value in _read(file, known).items()}
    ignored: tuple[str, ...] = ()
    if sink:
        meant, ignored = mailpit.understood(os.environ)
        given |= meant
    given |= {name: (value, known[name].variable) for name, value in _environment(known).items()}
    given |= {name: (value, known[name].flag) for name, value in (flags or {}).items() if value is not None}
    if not sink and given.get("tls.cert", ("",))[0]:
        given = {name: (value, "tls") for name, value in tls_defaults().items()} | given

    tree: dict[str, Any] = {}
    for name, (value, _) in given.items():
        *groups, leaf = name.split(".")
        branch = tree
        for group in groups:
            branch = branch.setdefault(group, {})
        branch[leaf] = value
    sources = {name: given[name][1] if name in given else DEFAULT for name in known}
    try:
        settings = Settings(**tree)
    except ValidationError as error:
        raise SettingsError(_sentence(error, sources)) from None
    return Loaded(settings, sources, file, ignored)


def _file(config: Path | None, *, search: bool) -> Path | None:
    named = config or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)
    if named is not None:
        named = named.expanduser()
        if not named.is_file():
            raise SettingsError(f"there is no file of settings {named}; --config and {CONFIG_VARIABLE} must name one")
        return named
    return next((path for path in SEARCHED if path.is_file()), None) if search else None


def _read(file: Path, known: Mapping[str, Knob]) -> dict[str, object]:
    try:
        with file.open("rb") as stream:
            tree = tomllib.load(stream)
    except OSError as error:
        raise SettingsError(f"cannot read {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not TOML: {error}") from None
    groups = {name.rpartition(".")[0] for name in known} - {""}
    found: dict[str, object] = {}

    def walk(branch: Mapping[str, object], prefix: str) -> None:
        for key, value in branch.items():
            name = prefix + key
            if name in groups:
                if not isinstance(value, dict):
                    raise SettingsError(f"{name} in {file} is a table: write its settings under [{name}]")
                walk(value, name + ".")
            elif name in known:
                found[name] = value
            else:
                # A whole table that is unknown is named by its own name: its members would only add noise.
                raise SettingsError(_unknown(name, [*known, *groups], f"setting {name} in {file}"))

    walk(tree, "")
    for name in _PATHS:
        if name in found:
            found[name] = _beside(file, found[name])
    match found.get("tls.names"):
        case dict() as pairs:
            found["tls.names"] = {
                name: {part: _beside(file, path) for part, path in pair.items()} if isinstance(pair, dict) else pair
                for name, pair in pairs.items()
            }
    return found


def _beside(file: Path, path: object) -> object:
    """A path in the file is relative to the file."""
    return file.parent / Path(path).expanduser() if isinstance(path, str) and path else path


def _environment(known: Mapping[str, Knob]) -> dict[str, object]:
    variables = {knob.variable: knob.name for knob in known.values()}
    for variable in os.environ:
        if variable.startswith(PREFIX) and variable not in variables and variable != CONFIG_VARIABLE:
            raise SettingsError(_unknown(variable, [*variables, CONFIG_VARIABLE], f"variable {variable}"))
    return {name: os.environ[variable] for variable, name in variables.items() if os.environ.get(variable)}


def _unknown(name: str, known: list[str], what: str) -> str:
    # `port` is as near to `smtp.port` as `smtp.prot` is: the last part may be all that somebody remembers.
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6) or [
        full for full in known if full.rpartition(".")[2] == name.rpartition(".")[2]
    ]
    hint = f"did you mean {near[0]}?" if near else "`mailsystem settings` lists all there are"
    return f"unknown {what}; {hint}"


_SAID = {
    "int_parsing": "should be a whole number",
    "int_type": "should be a whole number",
    "float_parsing": "should be a number",
    "bool_parsing": "should be true or false",
    "bool_type": "should be true or false",
    "path_type": "should be a path",
    "string_too_short": "should not be empty",
    "byte_size": 'should be a number of octets or a size such as "50 MiB"',
    "byte_size_unit": 'should be a number of octets or a size such as "50 MiB"',
}
"""Where pydantic's own words are for programmers."""


def _sentence(error: ValidationError, sources: Mapping[str, str]) -> str:
    first, *others = error.errors(include_url=False, include_context=False)
    # A union or a constraint puts names of its own behind the setting's.
    loc = [str(part) for part in first["loc"]]
    name = next((".".join(loc[:n]) for n in range(len(loc), 0, -1) if ".".join(loc[:n]) in sources), ".".join(loc))
    said = _SAID.get(first["type"]) or re.sub("^(Value error, |Input |String )+", "", first["msg"])
    origin = sources.get(name, DEFAULT)
    where = "" if origin == DEFAULT else f" (from {origin})"
    value = first["input"]
    # What was given is repeated where that can tell nothing that should stay private: numbers and short words.
    got = (
        f", not {value!r}" if name in sources and isinstance(value, int | float | str) and len(str(value)) <= 40 else ""
    )
    more = f" (and {len(others)} more)" if others else ""
    return f"{name}{where} {said}{got}{more}"
