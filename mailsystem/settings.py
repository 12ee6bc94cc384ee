"""Every knob of the program, described once: flags beat `MAILSYSTEM_…` variables beat `mailsystem.toml` beat the defaults.

`Settings()` is the defaults and nothing else; `load()` reads the world. Rooms never see this module: `app` unpacks it for them.
"""

from __future__ import annotations

import difflib
import os
import re
import socket
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from mailsystem.mail.address import normal_domain
from mailsystem.mail.errors import SyntaxFault

PREFIX: Final = "MAILSYSTEM_"
CONFIG_VARIABLE: Final = "MAILSYSTEM_CONFIG"
"""Names the file of settings; the only variable that is not a setting itself."""
SEARCHED: Final = (Path("mailsystem.toml"), Path("/etc/mailsystem/mailsystem.toml"))
DEFAULT: Final = "default"


class SettingsError(Exception):
    """A setting that cannot be used; its text is one clear sentence for whoever wrote it."""


Port = Annotated[int, Field(ge=0, le=65535)]


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Smtp(_Group):
    """The door by which mail comes in."""

    port: Port = Field(default=25, description="Port for SMTP; 0 takes a free one.")


class Pop3(_Group):
    """The door for those who come and ask."""

    port: Port = Field(default=110, description="Port for POP3; 0 takes a free one.")


class Imap(_Group):
    """The door for those who stay and are told."""

    port: Port = Field(default=143, description="Port for IMAP; 0 takes a free one.")


class Tls(_Group):
    """The certificate for STARTTLS and STLS."""

    cert: Path | None = Field(
        default=None, description="PEM file with the certificate and its chain; with it, every door offers TLS."
    )
    key: Path | None = Field(
        default=None, description="PEM file with the certificate's private key, without a passphrase."
    )

    @field_validator("cert", "key")
    @classmethod
    def _home(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser()

    @model_validator(mode="after")
    def _both(self) -> Tls:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key belong together: set both or neither")
        return self


class Limits(_Group):
    """What is too much."""

    message_size: ByteSize = Field(
        default=ByteSize(50 * 1024 * 1024),
        ge=65_536,  # RFC 5321 4.5.3.1.7: at least 64K octets
        description='Largest message accepted, in octets or as "50 MiB"; told to senders by SIZE.',
    )
    recipients: int = Field(
        default=1000, ge=100, description="Most recipients of one message."
    )  # RFC 5321 4.5.3.1.8: at least 100


class Log(_Group):
    """What is written down about what happens."""

    format: Literal["text", "json"] = Field(
        default="text", description="Lines for people (text) or for machines (json)."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least important events that are written."
    )
    lines: bool = Field(
        default=False, description="Write every protocol line as well; passwords and message bodies are never in it."
    )


class Settings(BaseSettings):
    """All settings; `Settings()` is their defaults."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", env_ignore_empty=True, extra="forbid", frozen=True
    )

    data_dir: Path = Field(
        default=Path("/var/lib/mailsystem"),
        description="Directory of all mail and accounts, on a local disk. In the file of settings, relative to that file.",
    )
    host: str = Field(
        default="*", min_length=1, description="Address or name to listen on; * is every address, IPv4 and IPv6."
    )
    hostname: str = Field(
        default_factory=socket.gethostname,
        min_length=1,
        description="What this server calls itself in greetings and Received lines; by default the machine's name.",
    )
    default_domain: str = Field(
        default="", description="Domain that completes a login without one; empty completes nothing."
    )
    smtp: Smtp = Smtp()
    pop3: Pop3 = Pop3()
    imap: Imap = Imap()
    tls: Tls = Tls()
    cleartext_login: bool = Field(
        default=False,
        description="Let people on other machines log in without TLS, so that their password can be read on the way.",
    )
    limits: Limits = Limits()
    bare_newline: Literal["refuse", "accept"] = Field(
        default="refuse",
        description="What becomes of a message with a CR or LF on its own: refused with 554, or stored as it is.",
    )
    log: Log = Log()
    grace: float = Field(
        default=5.0, ge=0, le=600, description="Seconds that open sessions are given to end when the program stops."
    )

    @field_validator("data_dir")
    @classmethod
    def _home(cls, path: Path) -> Path:
        return path.expanduser()

    @field_validator("default_domain")
    @classmethod
    def _domain(cls, name: str) -> str:
        try:
            return normal_domain(name) if name else ""
        except SyntaxFault:
            raise ValueError("should be a domain such as example.org") from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # The sources are read one by one in `load`, which remembers what came from where.
        return (init_settings,)


def sink_defaults(environ: Mapping[str, str] | None = None) -> dict[str, object]:
    """What `mailsystem sink` starts from instead: loopback, high ports, a directory of this user's own, and leniency."""
    environ = os.environ if environ is None else environ
    state = environ.get("XDG_STATE_HOME") or "~/.local/state"
    return {
        "data_dir": Path(state).expanduser() / "mailsystem" / "sink",
        "host": "127.0.0.1",
        "hostname": "localhost",
        "default_domain": "localhost",
        "smtp.port": 1025,
        "pop3.port": 1110,
        "imap.port": 1143,
        "cleartext_login": True,
        "limits.message_size": 1 << 30,
        "limits.recipients": 100_000,
        "bare_newline": "accept",
    }


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
        if isinstance(field.annotation, type) and issubclass(field.annotation, _Group):
            yield from knobs(field.annotation, f"{group}{name}.")
        else:
            yield Knob(group + name, field.description or "", None if field.default_factory else field.default)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings in force and where each came from."""

    settings: Settings
    sources: Mapping[str, str]
    """Setting to `--flag`, `MAILSYSTEM_…`, the path of a file, `sink` or `default`."""
    file: Path | None

    def value(self, name: str) -> Any:
        """A setting by its dotted name; secrets as `**********`."""
        value: Any = self.settings
        for part in name.split("."):
            value = getattr(value, part)
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
    given |= {name: (value, known[name].variable) for name, value in _environment(known).items()}
    given |= {name: (value, known[name].flag) for name, value in (flags or {}).items() if value is not None}

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
    return Loaded(settings, sources, file)


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
    for name in ("data_dir", "tls.cert", "tls.key"):
        if isinstance(path := found.get(name), str) and path:
            found[name] = file.parent / Path(path).expanduser()
    return found


def _environment(known: Mapping[str, Knob]) -> dict[str, object]:
    variables = {knob.variable: knob.name for knob in known.values()}
    for variable in os.environ:
        if variable.startswith(PREFIX) and variable not in variables and variable != CONFIG_VARIABLE:
            raise SettingsError(_unknown(variable, [*variables, CONFIG_VARIABLE], f"variable {variable}"))
    found: dict[str, object] = {}

    def walk(branch: Mapping[str, Any], prefix: str) -> None:
        for key, value in branch.items():
            if prefix + key in known:
                found[prefix + key] = value
            else:
                walk(value, f"{prefix}{key}.")

    walk(EnvSettingsSource(Settings, case_sensitive=False)(), "")
    return found


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
