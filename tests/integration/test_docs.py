"""What the documents say can be typed: commands and options exist, and the tour is what happens."""

import os
import re
import shlex
import subprocess

import pytest

from machine import BUILD, TOP

PAGES = sorted([TOP / "README.md", *(TOP / "docs").glob("*.md")])
COMMANDS = {"mount", "unmount", "check", "get", "status", "refresh", "doctor", "upgrade", "csi"}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def invocations(text):
    """The words of each `akvfs ...` in code, in blocks or within a line."""
    for kind, body in BLOCK.findall(text):
        for line in body.replace("\\\n", " ").splitlines():
            line = re.sub(r"^\s*[$#] ", "", line) if kind == "console" else line
            found = re.search(r"(?:^|[\s=/])akvfs ((?:-|[a-z]).*)$", line)
            if found and kind in ("console", ""):
                yield found[1]
    for code in re.findall(r"`akvfs ([^`]+)`", BLOCK.sub("", text)):
        yield code


def words_of(line):
    line = line.split(" #")[0].split("|")[0].split(";")[0].split("&&")[0].strip()
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


@pytest.fixture(scope="session")
def helps(binary):
    return {
        command: subprocess.run(
            [str(binary), command, "--help"], capture_output=True, text=True, check=True
        ).stdout
        for command in COMMANDS
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(TOP)))
def test_commands_and_options_of_the_pages_exist(page, helps):
    for line in invocations(page.read_text()):
        words = words_of(line)
        if not words or words[0] not in COMMANDS:
            continue
        for word in words[1:]:
            option = re.match(r"--[a-z][a-z-]*|-[a-zA-Z]$", word)
            if option:
                assert option[0] in helps[words[0]], f"{page.name}: akvfs {line}: no {option[0]}"


def options_of(text):
    """Those that a line of the help begins with."""
    lines = re.findall(r"^\s+((?:-\w, )?--[a-z].*?)(?:  |$)", text, re.M)
    return {option for line in lines for option in re.findall(r"--[a-z][a-z-]+", line)} - {"--help"}


def test_the_manual_page_has_every_option(helps):
    manual = (TOP / "docs" / "man" / "akvfs.8").read_text()
    plain = manual.replace("\\-", "-").replace("Fl -", "--")
    for option in options_of("".join(helps.values())):
        name = option[2:]
        assert option in plain or re.search(rf"\b{name.replace('-', '_')}\b", plain), option


def test_the_manual_page_has_no_mistakes():
    path = TOP / "docs" / "man" / "akvfs.8"
    text = path.read_text().splitlines()
    for number, line in enumerate(text, 1):
        assert not line.endswith(" "), f"akvfs.8:{number}: blank at the end"
    opened = sum(line.startswith((".Bl ", ".Bd ")) for line in text)
    closed = sum(line.startswith((".El", ".Ed")) for line in text)
    assert opened == closed


def test_links_between_the_pages_lead_somewhere():
    for page in [*PAGES, TOP / "CONTRIBUTING.md", TOP / "CHANGELOG.md"]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_demo(binary):
    """The README's tour is what `make demo` prints; it has to work, and to end well."""
    done = subprocess.run(
        [str(TOP / "tests" / "demo" / "demo.sh")],
        env={**os.environ, "AKVFS_BUILD": str(BUILD)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
