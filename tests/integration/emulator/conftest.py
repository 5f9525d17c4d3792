"""Fixtures of the emulator's own tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from akvfs_emulator import Emulator  # noqa: E402

from .client import Client  # noqa: E402


@pytest.fixture(scope="module")
def running():
    with Emulator() as emu:
        yield emu


@pytest.fixture
def emu(running):
    running.reset()
    return running


@pytest.fixture
def client(emu):
    return Client(emu)
