"""What is written is true: reference pages are current, README and compose file name only what exists."""

from __future__ import annotations

import importlib.util
import re
import shlex
import types
from pathlib import Path
from typing import Any

import pytest
import yaml

import mailsystem
from mailsystem.app import HISTORIC, LISTENERS, ROLES
from mailsystem.cli import everything
from mailsystem.settings import CONFIG_VARIABLE, knobs, sink_defaults, tls_defaults

ROOT = Path(mailsystem.__file__).parents[1]
VARIABLES = {knob.variable for knob in knobs()} | {CONFIG_VARIABLE}
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "deploy").glob("*.md")]
)
COMMANDS: Any = everything()


def load(path: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = load(ROOT / "docs" / "generate.py")


@pytest.mark.parametrize("name", generate.pages())
def test_a_generated_page_is_current(name: str) -> None:
    written = (ROOT / "docs" / name).read_text()
    assert written == generate.pages()[name], "run: python docs/generate.py"


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    for knob in knobs():
        assert f"`{knob.name}`" in page
        assert f"`{knob.variable}`" in page
        assert len(knob.description) > 15, f"{knob.name} is described"
        assert knob.description in page


def leaves(group: Any, words: tuple[str, ...] = ("mailsystem",)) -> dict[tuple[str, ...], Any]:
    """Every command that does something, by its words."""
    found: dict[tuple[str, ...], Any] = {}
    for name, command in group.commands.items():
        found |= leaves(command, (*words, name)) if hasattr(command, "commands") else {(*words, name): command}
    return found


LEAVES = leaves(COMMANDS)


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_every_command_is_documented(words: tuple[str, ...]) -> None:
    page = (ROOT / "docs" / "command-line.md").read_text()
    assert f"## {' '.join(words)}\n" in page
    assert LEAVES[words].help
    for parameter in LEAVES[words].params:
        assert parameter.name == "help" or parameter.help, f"{parameter.name} is described"


@pytest.mark.parametrize("door", ["smtp", "pop3", "imap", "pop2", "pop1"])
def test_every_command_of_every_protocol_is_documented(door: str) -> None:
    page = (ROOT / "docs" / "protocols.md").read_text()
    section = page.partition(f"\n## {door.upper()}\n")[2].partition("\n## ")[0]
    verbs = generate.verbs()[door]
    assert len(verbs) >= (8 if door in HISTORIC else 10)
    for verb in verbs:
        assert f"| `{verb}" in section


# What stands in the texts


def spoken(line: str) -> tuple[tuple[str, ...], list[str]] | None:
    """A command line of ours as the words of a command and the rest; None for anything else."""
    words = shlex.split(line, comments=True)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if words and words[0].endswith("/mailsystem"):
        words[0] = "mailsystem"
    if not words or words[0] != "mailsystem" or len(words) < 2:
        return None
    if words[1].startswith("-"):
        return ("mailsystem",), words[1:]
    for length in (4, 3, 2):
        if tuple(words[:length]) in LEAVES:
            return tuple(words[:length]), words[length:]
    raise AssertionError(f"there is no such command: {line}")


def must_be_understood(words: tuple[str, ...], rest: list[str]) -> None:
    """Every option of a command line exists, and every role."""
    command = LEAVES.get(words, COMMANDS)
    options = {name: parameter for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    rest = list(rest)
    arguments = []
    while rest:
        word = rest.pop(0)
        if word in {"|", ">", "&", "&&", "<"}:
            break
        if word.startswith("-") and word != "-":
            name, equals, _ = word.partition("=")
            assert name in options or name in {"--help", "-h"}, f"{' '.join(words)} has no {name}"
            if not equals and name in options and not options[name].is_flag:
                rest.pop(0)
        else:
            arguments.append(word)
    if words == ("mailsystem", "serve"):
        assert set(arguments) <= {*ROLES, *HISTORIC}


def shell_lines(text: str) -> list[str]:
    """The command lines in a page's fenced blocks."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    blocks = [block for language, block in fenced if language in {"", "sh", "shell", "console", "bash"}]
    joined = [re.sub(r"\\\n\s*", " ", block) for block in blocks]
    lines = [line.strip().removeprefix("$ ") for block in joined for line in block.splitlines()]
    return [line for line in lines if line and "[OPTIONS]" not in line]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_command_in_a_page_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in shell_lines(page.read_text()):
        if line.startswith("make "):
            goals = [word for word in shlex.split(line, comments=True)[1:] if "=" not in word]
            assert set(goals) <= targets, line
        for piece in re.split(r"\s\|\s|\s&&\s", line):
            piece = re.sub(r"^docker compose (?:exec|run)(?: -\w+| --\w+)* \w+ ", "", piece.strip())
            if "mailsystem" in piece and (said := spoken(piece)):
                must_be_understood(*said)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_variable_and_file_in_a_page_exists(page: Path) -> None:
    text = page.read_text()
    for variable in re.findall(r"\bMAILSYSTEM_[A-Z0-9_]+", text):
        assert variable in VARIABLES | {"MAILSYSTEM_REQUIRE_JUDGES"}, variable
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), f"{page.name} leads to {target}"


def test_every_page_is_reachable_from_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "index.md" or f"({page.name})" in index


def test_the_changelog_speaks_in_sentences_newest_first() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## (\d+)\.(\d+)\.(\d+)", text, re.MULTILINE)
    assert versions
    assert [tuple(map(int, v)) for v in versions] == sorted((tuple(map(int, v)) for v in versions), reverse=True)
    assert ".".join(versions[0]) == mailsystem.__version__
    for entry in re.findall(r"^- (.+?)(?=^- |^#|\Z|\n\n)", text, re.MULTILINE | re.DOTALL):
        assert entry[0].isupper() or entry[0] == "`"
        assert entry.rstrip().endswith(".")


# The containers: there may be no engine to run them here, so what they say is held against the program


COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DOCKERFILE = re.sub(r"\\\n\s*", " ", (ROOT / "deploy" / "Dockerfile").read_text())


def instruction(name: str) -> list[str]:
    return re.findall(rf"^{name}\s+(.*)$", DOCKERFILE, re.MULTILINE)


@pytest.mark.parametrize("service", COMPOSE["services"])
def test_a_service_starts_a_command_that_exists(service: str) -> None:
    told = COMPOSE["services"][service]
    said = spoken(shlex.join(["mailsystem", *told["command"]]))
    assert said
    must_be_understood(*said)
    if service in ROLES:
        assert said[1][0] == service
    else:
        assert told["profiles"] == [service]
    assert told["read_only"]
    assert told["cap_drop"] == ["ALL"]


def test_there_is_a_service_for_every_role_over_one_volume_and_a_sink() -> None:
    services = COMPOSE["services"]
    assert set(services) == {*ROLES, "sink"}
    assert len({service["image"] for service in services.values()}) == 1
    volumes = {services[role]["volumes"][0] for role in ROLES}
    assert volumes == {"mail:/var/lib/mailsystem"}
    assert services["sink"]["volumes"][0].split(":")[0] != "mail", (
        "a sink lets anybody in: it never sees a server's mail"
    )
    named = {volume.split(":")[0] for service in services.values() for volume in service["volumes"]}
    assert set(COMPOSE["volumes"]) == {name for name in named if name.isalnum()}


def test_every_variable_of_the_containers_exists() -> None:
    for service in COMPOSE["services"].values():
        assert set(service.get("environment", {})) <= VARIABLES
    for file in ("docker-compose.yml", "deploy/Dockerfile"):
        assert set(re.findall(r"MAILSYSTEM_[A-Z0-9_]+", (ROOT / file).read_text())) <= VARIABLES


def test_published_ports_are_those_on_which_the_image_listens() -> None:
    ports = dict(re.findall(r"MAILSYSTEM_(\w+)__PORT=(\d+)", DOCKERFILE))
    assert set(ports) == {role.upper() for role in ROLES if role in LISTENERS and role != "web"}
    # Those that a certificate opens: a variable that is empty without one.
    environment = COMPOSE["services"]["smtp"]["environment"]
    secure = {
        name: re.fullmatch(r"\$\{MAILSYSTEM_TLS__CERT:\+(\d+)\}", str(value)) for name, value in environment.items()
    }
    ports |= {name.split("_")[1]: found[1] for name, found in secure.items() if found}
    sink = str(sink_defaults()["web.port"])
    assert set(instruction("EXPOSE")[0].split()) == {*ports.values(), sink}
    assert set(ports) == {name.upper() for name in LISTENERS if name != "lmtp"}
    public = {
        "smtp": 25,
        "pop3": 110,
        "imap": 143,
        "web": 443,
        **{name.removesuffix(".port"): port for name, port in tls_defaults().items()},
    }
    for role in ROLES:
        theirs = [name for name, of in LISTENERS.items() if of == role and name in public]
        expected = {f"{public[name]}:{ports[name.upper()]}" for name in theirs}
        assert set(COMPOSE["services"][role]["ports"]) == expected
    for published in COMPOSE["services"]["sink"]["ports"]:
        assert published.startswith("127.0.0.1:")
        assert published.rpartition(":")[2] in {*ports.values(), sink}


def test_the_image_copies_what_there_is_runs_as_nobody_special_and_is_watched() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for line in instruction("COPY"):
        if "--from" not in line:
            *sources, _ = line.split()
            for source in sources:
                assert (ROOT / source).exists(), source
                assert source in let_in
    assert instruction("USER") == ["mailsystem"]
    assert instruction("ENTRYPOINT") == ['["mailsystem"]']
    said = spoken(shlex.join(["mailsystem", *yaml.safe_load(instruction("CMD")[-1])]))
    assert said
    must_be_understood(*said)
    ready = said[1][said[1].index("--ready-file") + 1]
    assert ready in instruction("HEALTHCHECK")[0]
    assert "deploy/healthcheck.py" in DOCKERFILE
    for service in COMPOSE["services"].values():
        assert service["command"][-2:] == ["--ready-file", ready], "the health check reads it"
