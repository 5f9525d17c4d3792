"""What the documents say can be typed: commands and options exist, `akvfs check` prints what is shown,
links lead somewhere, and the tour is what happens."""

import os
import pathlib
import re
import shlex
import subprocess

import pytest

from machine import BUILD, TOP

PAGES = sorted([TOP / "README.md", *(TOP / "docs").glob("*.md")])
UNIT = TOP / "deploy" / "systemd" / "akvfs@.service"
COMMANDS = {"mount", "unmount", "check", "get", "status", "refresh", "doctor", "upgrade", "csi", "keeper"}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def invocations(text):
    """The words of each `akvfs ...` in code, in blocks or within a line."""
    for kind, body in BLOCK.findall(text):
        for line in body.replace("\\\n", " ").splitlines():
            line = re.sub(r"^\s*[$#] ", "", line) if kind == "console" else line
            found = re.search(r"(?:^|[\s=/])akvfs ((?:-|[a-z]).*)$", line)
            if found and kind in ("console", "") and not found[1].startswith("mount: "):  # a message
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


def each(pages):
    return pytest.mark.parametrize("page", pages, ids=lambda p: str(p.relative_to(TOP)))


@each([*PAGES, UNIT])
def test_commands_and_options_of_the_pages_exist(page, helps):
    text = page.read_text()
    for line in invocations(f"```\n{text}```\n" if page == UNIT else text):
        words = words_of(line)
        assert words[0] in COMMANDS, f"{page.name}: akvfs {line}: no such command"
        for word in words[1:]:
            option = re.match(r"--[a-z][a-z-]*|-[a-zA-Z]$", word)
            if option:
                assert option[0] in helps[words[0]], f"{page.name}: akvfs {line}: no {option[0]}"
    for items in re.findall(r"(?<![\w-])-o ([a-z][\w=,.]*)", text):
        for item in items.split(","):
            option = "--" + item.split("=")[0].replace("_", "-")
            assert option in options_of(helps["mount"]), f"{page.name}: -o {items}: no {item}"


@each([page for page in PAGES if "$ akvfs check" in page.read_text()])
def test_check_prints_what_is_shown(page, binary, tmp_path):
    """Of each class that is there in full, and of the example that the tour uses."""
    shown, text = [], (TOP / "docs" / "examples" / "demo.yaml").read_text()
    for kind, body in BLOCK.findall(page.read_text()):
        if kind == "yaml" and body.startswith("apiVersion: "):
            text = body
        match = re.match(r"\$ akvfs check (\S+)\n((?:[^$].*\n)+)", body) if kind == "console" else None
        if match and text:
            path = tmp_path / pathlib.Path(match[1]).name
            path.write_text(text)
            done = subprocess.run(
                [str(binary), "check", path.name], cwd=tmp_path, capture_output=True, text=True
            )
            assert done.stderr + done.stdout == match[2]
            shown.append(path)
            text = None  # what comes behind it is shown of a class with mistakes
    assert shown


def options_of(text):
    """Those that begin a line of the help, and those beside them."""
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


def anchors(page):
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", page.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_between_the_pages_lead_somewhere():
    for page in [*PAGES, TOP / "CONTRIBUTING.md", TOP / "CHANGELOG.md", TOP / "SECURITY.md"]:
        for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", page.read_text()):
            if "://" in target:
                continue
            there = page.parent / target if target else page
            assert there.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in anchors(there), f"{page.name}: {target}#{anchor}"


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
