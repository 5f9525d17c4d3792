"""What is warm is answered by the kernel: no request reaches the file system."""

import os

import pytest

import machine
from classes import element
from services import secret

ROUNDS = 100_000


def requests(mount):
    return mount.status()["fuse_requests"]


def look_at_all(mount):
    """Everything twice: what the first look asks for, the second finds."""
    for _ in range(2):
        assert len(mount.read("page")) == 4096
        os.stat(mount / "page")
        os.listdir(mount.point)
        os.listdir(mount / "folder")
        assert not os.path.exists(mount / "absent")


@pytest.fixture
def warm(akvfs, services, spc):
    """A mount with a file of 4 KiB, and one in a folder."""
    services.set_secret("page", secret("p" * 4096)[:4096])
    services.set_secret("inner", secret())
    with akvfs.mount(spc([element("page"), element("inner", alias="folder/inner")]), "poll_interval=1h") as mount:
        yield mount


def test_warm_opens_send_no_request(warm):
    path = str(warm / "page")

    def opens():
        for _ in range(ROUNDS):
            fd = os.open(path, os.O_RDONLY)
            os.read(fd, 4096)
            os.close(fd)

    assert machine.requests_during(warm, look_at_all, opens) == 0


@pytest.mark.parametrize(
    "look",
    [
        lambda top: os.stat(top / "page"),
        lambda top: os.listdir(top),
        lambda top: os.listdir(top / "folder"),
        lambda top: os.path.exists(top / "absent"),
        lambda top: os.access(top / "page", os.R_OK),
    ],
    ids=["stat", "readdir", "readdir-below", "absent", "access"],
)
def test_warm_looks_send_no_request(warm, look):
    def looks():
        for _ in range(10_000):
            look(warm.point)

    assert machine.requests_during(warm, look_at_all, looks) == 0


def test_a_listing_that_was_left_half_way_is_warm_again(warm, services, akvfs):
    """The kernel goes on where that one ended, and never begins anew before it has met an end."""
    fd = os.open(warm.point, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        with os.scandir(warm.point) as names:
            next(names)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)
    services.set_secret("page", secret("r" * 4096)[:4096])
    akvfs.ok("refresh", warm.point)
    for _ in range(2):
        os.listdir(warm.point)

    def lists():
        for _ in range(100):
            os.listdir(warm.point)

    assert machine.requests_during(warm, lambda _: None, lists) == 0


def test_warm_again_after_a_rotation(warm, services, akvfs):
    value = secret("q" * 4096)[:4096]
    services.set_secret("page", value)
    akvfs.ok("refresh", warm.point)
    warm.wait_for("page", value)

    def looks():
        for _ in range(1000):
            fd = os.open(warm / "page", os.O_RDONLY)
            assert os.read(fd, 8192) == value.encode()
            os.close(fd)
            os.stat(warm / "page")
            os.listdir(warm.point)

    assert machine.requests_during(warm, look_at_all, looks) == 0


def test_as_a_user_pages_are_kept(akvfs, services, spc, user):
    """OPEN is answered there, so that writes can be refused; the bytes are still the kernel's."""
    import subprocess

    services.set_secret("page", secret("p" * 4096)[:4096])
    with akvfs.mount(spc(["page"]), "poll_interval=1h", who=user) as mount:
        loop = "import os,sys\nfor _ in range(1000):\n f=os.open(sys.argv[1],0); os.read(f,4096); os.close(f)"
        words = user.words(["/usr/bin/python3", "-c", loop, str(mount / "page")])
        subprocess.run(words, check=True)
        before = requests(mount)
        subprocess.run(words, check=True)
        # OPEN and RELEASE, no READ, and a few for starting python.
        assert requests(mount) - before <= 2 * 1000 + 50
