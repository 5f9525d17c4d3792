"""kill -9 of the worker is no outage, and no reading or writing of any kind upsets a mount."""

import contextlib
import ctypes
import errno
import fcntl
import json
import mmap
import os
import pathlib
import shutil
import signal
import subprocess
import termios
import threading

import pytest

import machine
from classes import element
from machine import wait_until
from services import numbered, secret
from test_stress import stress
from warmth import look_without_worker, undisturbed

KILLS = int(os.environ.get("AKVFS_KILLS", "25"))


# --- the worker ---


def keeper_of(mount):
    return mount.status()["keeper_pid"]


def standby_of(keeper):
    """The process that waits to be the next worker, or None."""
    for child in children(keeper):
        with contextlib.suppress(OSError):
            if pathlib.Path(f"/proc/{child}/comm").read_text() == "akvfs-standby\n":
                return child
    return None


def children(pid):
    with contextlib.suppress(OSError):
        return [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def kill_worker(mount, patience=machine.PATIENCE):
    """kill -9, and the new worker's pid as soon as it answers the control socket."""
    old = mount.status()["worker_pid"]
    os.kill(old, signal.SIGKILL)
    return wait_for_worker(mount, old, patience)


def wait_for_worker(mount, old, patience=machine.PATIENCE):
    def new():
        done = mount.akvfs.run("status", "--json", mount.point, who=mount.who)
        rows = json.loads(done.out)["mounts"] if done.returncode == 0 else []
        return rows and rows[0]["worker_pid"] != old and rows[0]["worker_pid"]

    return wait_until(new, "a new worker serves", patience)


def drop_caches():
    """Names and pages go, so that whoever reads next has to ask the worker."""
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")


# --- under load, in C ---


def crash(folder, *words, kills=KILLS):
    seen = stress(folder, "crash", "--kills", kills, *words)
    assert seen["kills"] == kills and seen["operations"] > 0, seen
    assert (seen["failed"], seen["wrong"]) == (0, 0), seen
    return seen


@pytest.mark.slow
@pytest.mark.timeout(200 + 3 * KILLS)
def test_no_operation_fails_when_the_worker_is_killed(folder):
    seen = crash(folder, *([] if machine.resends() else ["--no-resend"]))
    assert not machine.resends() or seen["aborted"] == 0


@pytest.mark.slow
@pytest.mark.timeout(200 + 3 * KILLS)
def test_no_operation_hangs_where_the_kernel_cannot_resend(folder):
    """Requests in a dead worker's hands fail there; whoever comes next is served."""
    crash(folder, "--no-resend", kills=max(KILLS // 2, 1))


# --- through the commands ---


def test_the_same_bytes_and_inodes_after_a_kill(akvfs, services, spc, who):
    services.set_secret("a", secret("one"))
    services.set_secret("b", secret("two"))
    with akvfs.mount(spc(["a", element("b", alias="d/b")]), "poll_interval=1h", who=who) as mount:
        def look():
            """Root may not look into an ordinary user's mount."""
            script = "cat a d/b && stat -c '%n %i %f %s %u:%g %Y' a d/b"
            return subprocess.check_output(who.words(["sh", "-c", f"cd {mount.point} && {script}"]))

        before = look()
        assert b"one" in before and b"two" in before
        for _ in range(3):
            kill_worker(mount)
            drop_caches()
            assert look() == before


def test_the_next_worker_is_held_ready_and_holds_nothing(akvfs, services, spc):
    services.set_secret("a", value := secret())
    with akvfs.mount(spc(["a"]), "poll_interval=1h") as mount:
        keeper = keeper_of(mount)

        def held_ready(not_this=None):
            found = standby_of(keeper)
            return found != not_this and found

        standby = wait_until(held_ready, "a worker is held ready")

        def holds_nothing():
            """Once it waits: on its way there it has tried out secret memory."""
            held = machine.descriptors(standby)
            return held and not [
                h for h in held if "fuse" in h or "secretmem" in h or "memfd" in h or h == str(mount.point)
            ]

        wait_until(holds_nothing, "it holds nothing of the mount, and no memory")
        assert kill_worker(mount) == standby
        following = wait_until(lambda: held_ready(standby), "the one after it")
        # One that dies costs nothing but the next one's start.
        os.kill(following, signal.SIGKILL)
        wait_until(lambda: held_ready(following), "another one")
        assert mount.status()["worker_pid"] == standby
        drop_caches()
        assert mount.read("a") == value.encode()
        last = standby_of(keeper)
    wait_until(lambda: machine.gone(last), "it ends with the keeper")


def test_a_standby_leaves_when_its_keeper_is_killed(akvfs, services, spc):
    """The heir has one of its own, and the control socket still answers."""
    services.set_secret("a", secret())
    with akvfs.mount(spc(["a"]), "poll_interval=1h") as mount:
        keeper = keeper_of(mount)
        standby = wait_until(lambda: standby_of(keeper), "a worker is held ready")
        os.kill(keeper, signal.SIGKILL)
        wait_until(lambda: machine.gone(standby), "it ends")
        wait_until(lambda: keeper_of(mount) != keeper, "an heir has taken over")
        heir = keeper_of(mount)
        standby = wait_until(lambda: standby_of(heir), "the heir holds one ready")
        assert kill_worker(mount) == standby


def test_a_descriptor_reads_on_across_rotation_and_kill(akvfs, services, spc):
    first, second, third = (numbered(n) for n in (1, 2, 3))
    services.set_secret("big", first)
    with akvfs.mount(spc(["big"]), "poll_interval=1h") as mount:
        with open(mount / "big", "rb") as held:
            services.set_secret("big", second)
            akvfs.ok("refresh", mount.point)
            mount.wait_for("big", second)
            drop_caches()
            kill_worker(mount)
            assert held.read() == first.encode()
            services.set_secret("big", third)
            akvfs.ok("refresh", mount.point)
            assert mount.read("big") == third.encode()
            drop_caches()
            held.seek(0)
            assert held.read() == first.encode()


def test_rotation_goes_on_after_a_takeover(akvfs, services, spc, readers, watch):
    services.set_secret("big", numbered(0))
    with akvfs.mount(spc(["big"]), "poll_interval=1s") as mount:
        group = readers(mount / "big", 2)
        watching = watch(mount.point, "moved_to")
        for number in range(1, 4):
            kill_worker(mount)
            services.set_secret("big", numbered(number))
            mount.wait_for("big", numbered(number))
            watching.wait_for("MOVED_TO", "big", number)
        sums = group.stop()
        assert (sums["errors"], sums["torn"], sums["backwards"]) == (0, 0, 0), sums


def test_the_vault_need_not_be_there(akvfs, services, spc, readers):
    services.set_secret("big", numbered(7))
    with akvfs.mount(spc(["big"]), "poll_interval=1s") as mount:
        group = readers(mount / "big", 2)
        with outage(services):
            for _ in range(3):
                drop_caches()
                kill_worker(mount)
                drop_caches()
                assert mount.read("big") == numbered(7).encode()
        sums = group.stop()
        assert (sums["errors"], sums["torn"]) == (0, 0), sums
        services.set_secret("big", numbered(8))
        mount.wait_for("big", numbered(8), patience=180)


@pytest.mark.slow
@pytest.mark.timeout(120 + 3 * KILLS)
def test_no_read_fails_in_any_number_of_kills_without_a_vault(akvfs, services, spc, readers):
    names = ["one", "two", "three"]
    for number, name in enumerate(names, 1):
        services.set_secret(name, numbered(number))
    with akvfs.mount(spc(names), "poll_interval=1s") as mount:
        groups = [readers(mount / name, 1) for name in names]
        with outage(services):
            for _ in range(KILLS):
                kill_worker(mount)
                drop_caches()
        for group in groups:
            sums = group.stop()
            assert (sums["errors"], sums["torn"]) == (0, 0) and sums["reads"] > 0, sums


@contextlib.contextmanager
def outage(services):
    """The emulator's process does not run: connections are made and never answered."""
    with machine.stopped(services.emulator.process.pid):
        yield


def test_status_tells_the_same_of_the_successor(akvfs, services, spc):
    services.set_secret("a", secret())
    with akvfs.mount(spc(["a"]), "poll_interval=1h") as mount:
        before = mount.status()
        new = kill_worker(mount)

        def settled():
            now = mount.status()
            return now["objects"] and now["objects"][0]["age_seconds"] is not None and now

        now = wait_until(settled, "everything was fetched again")
        assert now["worker_pid"] == new != before["worker_pid"]
        for key in ("mountpoint", "class", "keeper_pid", "state", "vault", "uid", "gid", "mode"):
            assert now[key] == before[key], key
        for key in ("file", "object", "version", "updated", "size"):
            assert now["objects"][0][key] == before["objects"][0][key], key


def test_a_refresh_right_after_a_takeover_waits_for_the_answers(akvfs, services, spc):
    services.set_secret("a", secret())
    with akvfs.mount(spc(["a"]), "poll_interval=1h") as mount:
        for _ in range(2):
            kill_worker(mount)
            services.set_secret("a", value := secret())
            assert "up to date" in akvfs.ok("refresh", mount.point).out
            assert mount.read("a") == value.encode()


def test_while_everything_is_fetched_again_status_and_refresh_say_so(akvfs, services, spc):
    """First a vault that does not answer, then one that refuses, then all is well."""
    services.set_secret("a", value := secret())
    with akvfs.mount(spc(["a"]), "poll_interval=1h") as mount:
        assert mount.status()["refetch"] is None
        with outage(services):
            kill_worker(mount)
            status = mount.status()
            assert status["state"] == "mounted" and status["next_poll"] is not None
            assert status["refetch"] == {"next_try": None, "error": None}
            assert "fetched again: under way" in akvfs.ok("status", mount.point).out
        wait_until(lambda: mount.status()["refetch"] is None, "everything was fetched again")

        services.forbid_all()
        kill_worker(mount)
        done = akvfs.run("refresh", mount.point)
        assert done.returncode == 1
        assert "object a: " in done.err and "being fetched again" not in done.err, done.err
        refetch = wait_until(lambda: mount.status()["refetch"]["next_try"] and mount.status()["refetch"], "it waits")
        assert "object a: " in refetch["error"]
        assert mount.status()["next_poll"] is not None
        assert mount.read("a") == value.encode()


def test_several_mounts_at_once(akvfs, services, spc):
    names = [f"s{i}" for i in range(6)]
    values = {name: secret(name) for name in names}
    for name, value in values.items():
        services.set_secret(name, value)
    with contextlib.ExitStack() as stack:
        mounts = {name: stack.enter_context(akvfs.background(spc([name]), "poll_interval=1s")) for name in names}
        for _ in range(3):
            kill_worker(mounts["s0"])
            drop_caches()
            for name, mount in mounts.items():
                assert mount.read(name) == values[name].encode()
        for name in names:
            values[name] = secret(name)
            services.set_secret(name, values[name])
        for name, mount in mounts.items():
            mount.wait_for(name, values[name])


def test_a_mount_in_progress_when_the_worker_dies(akvfs, services, spc):
    """The command says so and nothing is left of it; what was mounted before goes on."""
    services.set_secret("a", secret())
    services.set_secret("slow", secret())
    with akvfs.background(spc(["a"]), "poll_interval=1h") as mount:
        worker = mount.status()["worker_pid"]
        services.latency(5000)
        point = akvfs.point()
        words = akvfs.words(akvfs.class_file(spc(["slow"])), point)
        client = subprocess.Popen(
            [str(akvfs.binary), *words],
            env=akvfs.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: len(akvfs.status()["mounts"]) == 2, "the second one is being fetched")
        os.kill(worker, signal.SIGKILL)
        out, err = client.communicate(timeout=machine.PATIENCE)
        services.latency(0)
        akvfs.said.append(("mount", out + err))
        assert client.returncode == 1, out + err
        assert str(point) in err or "worker" in err or "daemon" in err, err
        assert not machine.is_mounted(point)
        wait_for_worker(mount, worker)
        assert len(akvfs.status()["mounts"]) == 1
        assert mount.read("a")
        akvfs.ok(*words)
        assert machine.is_mounted(point)
        akvfs.ok("unmount", point)


def test_workers_that_keep_dying(akvfs, services, spc):
    """Each one is killed as soon as it appears: readers get EIO rather than wait, until one lives."""
    value = secret()
    services.set_secret("a", value)
    with contextlib.ExitStack() as stack:
        mount = stack.enter_context(akvfs.mount(spc(["a"]), "poll_interval=1h"))
        held = stack.enter_context(open(mount / "a", "rb"))
        keeper, stop = keeper_of(mount), threading.Event()

        def hunt():
            while not stop.is_set():
                for child in children(keeper):
                    with contextlib.suppress(OSError):
                        if b"worker" in pathlib.Path(f"/proc/{child}/cmdline").read_bytes():
                            os.kill(child, signal.SIGKILL)

        hunter = threading.Thread(target=hunt)
        hunter.start()
        try:
            mount.wait_for_log("readers get EIO")
            drop_caches()
            with pytest.raises(OSError) as caught:
                mount.read("a")
            assert caught.value.errno == errno.EIO
            # What needs neither name nor byte is answered as ever.
            assert os.statvfs(mount.point).f_namemax == 255
            assert not os.isatty(held.fileno())
            with pytest.raises(OSError) as caught:
                fcntl.ioctl(held, termios.TCGETS, bytes(64))
            assert caught.value.errno == errno.ENOTTY
            with pytest.raises(OSError) as caught:
                os.getxattr(held.fileno(), "user.akvfs.version")
            assert caught.value.errno == errno.EOPNOTSUPP
        finally:
            stop.set()
            hunter.join()

        def reads():
            with contextlib.suppress(OSError):
                return mount.read("a") == value.encode()

        wait_until(reads, "a worker serves again")
        wait_for_worker(mount, None)


def test_warm_reads_need_no_running_worker(akvfs, services, spc):
    value = secret("w" * 4000)
    services.set_secret("a", value)

    def scene():
        with akvfs.mount(spc(["a", element("a", alias="d/b")]), "poll_interval=1h") as mount:
            return look_without_worker(mount, seconds=5)

    seen = undisturbed(scene)
    assert seen["./a"] == seen["./d/b"] == value
    assert seen["."] == ["..1", "..data", "a", "d"]


# --- every way to read ---


@pytest.fixture
def shown(akvfs, services, spc):
    services.set_secret("page", numbered(1))
    services.set_secret("inner", secret("inner"))
    with akvfs.mount(spc(["page", element("inner", alias="folder/inner")]), "poll_interval=1h") as mount:
        yield mount


def run(*words):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True)


def test_mmap_sendfile_and_splice(shown, folder):
    expected = numbered(1).encode()
    fd = os.open(shown / "page", os.O_RDONLY)
    with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as mapped:
        assert mapped[:] == expected
        drop_caches()
        kill_worker(shown)
        assert mapped[:] == expected
    for how in ("sendfile", "splice", "copy_file_range"):
        drop_caches()
        reader, writer = os.pipe()
        with open(folder / how, "w+b") as out:
            offset = 0
            while offset < len(expected):
                if how == "sendfile":
                    n = os.sendfile(out.fileno(), fd, offset, len(expected) - offset)
                elif how == "splice":
                    n = os.splice(fd, writer, 4096, offset_src=offset)
                    assert os.read(reader, 4096) == expected[offset : offset + n]
                else:
                    try:
                        n = os.copy_file_range(fd, out.fileno(), len(expected) - offset, offset_src=offset)
                    except OSError as error:
                        assert error.errno in (errno.EXDEV, errno.EOPNOTSUPP)
                        n = os.sendfile(out.fileno(), fd, offset, len(expected) - offset)
                assert n > 0
                offset += n
            if how != "splice":
                out.seek(0)
                assert out.read() == expected
        os.close(reader)
        os.close(writer)
    os.close(fd)


def test_the_usual_tools(shown, folder):
    for words in (
        ["cp", "-a", shown.point, folder / "copy"],
        ["find", shown.point, "-type", "f"],
        ["grep", "-r", "inner", shown.point],
        ["df", shown.point],
        ["stat", "-f", shown.point],
        ["stat", shown / "page"],
        ["tail", "-n", "1", shown / "page"],
        ["tar", "-cf", folder / "all.tar", "-C", shown.point, "."],
        ["du", "-a", shown.point],
    ):
        done = run(*words)
        assert done.returncode == 0, (words, done.stderr)
    assert (folder / "copy" / "page").read_bytes() == numbered(1).encode()
    assert "folder/inner" in run("find", shown.point, "-type", "f").stdout
    if shutil.which("rsync"):
        done = run("rsync", "-a", f"{shown.point}/", folder / "synced")
        assert done.returncode == 0, done.stderr
        assert (folder / "synced" / "page").read_bytes() == numbered(1).encode()


def test_tail_follows_the_name(shown, services, akvfs):
    tail = subprocess.Popen(
        ["tail", "-n", "1", "-F", str(shown / "page")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    os.set_blocking(tail.stdout.fileno(), False)
    seen = b""

    def says(text):
        nonlocal seen
        seen += tail.stdout.read() or b""
        return text in seen

    try:
        wait_until(lambda: says(b"1:"), "tail shows the first version")
        services.set_secret("page", numbered(2))
        akvfs.ok("refresh", shown.point)
        wait_until(lambda: says(b"2:"), "tail has seen the next version")
    finally:
        tail.kill()
        tail.wait()
        tail.stdout.close()


# --- no way to write ---


def attempts(top):
    """Everything that changes a file system, as functions."""
    page = top / "page"
    return {
        "open for writing": lambda: os.close(os.open(page, os.O_WRONLY)),
        "open for both": lambda: os.close(os.open(page, os.O_RDWR)),
        "truncating open": lambda: os.close(os.open(page, os.O_WRONLY | os.O_TRUNC)),
        "create": lambda: os.close(os.open(top / "new", os.O_CREAT | os.O_WRONLY)),
        "truncate": lambda: os.truncate(page, 0),
        "unlink": lambda: os.unlink(page),
        "mkdir": lambda: os.mkdir(top / "new"),
        "rmdir": lambda: os.rmdir(top / "folder"),
        "rename": lambda: os.rename(page, top / "other"),
        "rename over": lambda: os.rename(page, top / "folder" / "inner"),
        "link": lambda: os.link(page, top / "new"),
        "symlink": lambda: os.symlink("page", top / "new"),
        "mkfifo": lambda: os.mkfifo(top / "new"),
        "chmod": lambda: os.chmod(page, 0o777),
        "chown": lambda: os.chown(page, 1, 1),
        "utime": lambda: os.utime(page, (0, 0)),
        "setxattr": lambda: os.setxattr(page, "user.x", b"x"),
        "removexattr": lambda: os.removexattr(page, "user.akvfs.version"),
    }


def snapshot_of(top):
    stats = {}
    for name in ("page", "folder", "folder/inner"):
        st = os.stat(top / name)
        stats[name] = (st.st_ino, st.st_mode, st.st_uid, st.st_size, st.st_mtime)
    return (top / "page").read_bytes(), sorted(os.listdir(top)), stats


def test_nothing_can_be_written(shown):
    before = snapshot_of(shown.point)
    for what, attempt in attempts(shown.point).items():
        with pytest.raises(OSError) as caught:
            attempt()
        assert caught.value.errno == errno.EROFS, what
    assert snapshot_of(shown.point) == before


libc = ctypes.CDLL(None, use_errno=True)
SYS_open_tree, SYS_move_mount, SYS_mount_setattr = 428, 429, 442
OPEN_TREE_CLONE, MOVE_MOUNT_F_EMPTY_PATH, AT_EMPTY_PATH, MOUNT_ATTR_RDONLY = 1, 4, 0x1000, 1
AT_FDCWD = -100


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


@contextlib.contextmanager
def writable_clone(point, at):
    """What root alone can do: a second mount of the same file system, without its read-only flag."""

    class Attributes(ctypes.Structure):
        _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]

    at.mkdir()
    tree = check(libc.syscall(SYS_open_tree, AT_FDCWD, str(point).encode(), OPEN_TREE_CLONE | os.O_CLOEXEC))
    try:
        wanted = Attributes(0, MOUNT_ATTR_RDONLY, 0, 0)
        check(libc.syscall(SYS_mount_setattr, tree, b"", AT_EMPTY_PATH, ctypes.byref(wanted), ctypes.sizeof(wanted)))
        check(libc.syscall(SYS_move_mount, tree, b"", AT_FDCWD, str(at).encode(), MOVE_MOUNT_F_EMPTY_PATH))
    finally:
        os.close(tree)
    try:
        yield at
    finally:
        subprocess.run(["umount", str(at)], check=True)


def forge(path, how):
    """Tries to put other bytes into a file that the kernel lets be opened for writing."""
    forged = b"forged!!" * 512
    fd = os.open(path, os.O_RDWR)
    try:
        if how == "write":
            os.write(fd, forged)
            os.fsync(fd)
        elif how == "pwrite through /proc":
            other = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY)
            try:
                os.pwrite(other, forged, 8)
            finally:
                os.close(other)
        elif how == "mmap":
            with mmap.mmap(fd, 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE) as mapped:
                mapped[: len(forged)] = forged[: len(mapped)]
                mapped.flush()
        elif how == "fallocate":
            os.posix_fallocate(fd, 0, 1 << 20)
        elif how == "sendfile":
            with open("/dev/zero", "rb") as zero:
                os.sendfile(fd, zero.fileno(), 0, 4096)
        elif how == "direct":
            fcntl.fcntl(fd, fcntl.F_SETFL, os.O_DIRECT)
            os.write(fd, forged)
    finally:
        os.close(fd)


@pytest.mark.parametrize("how", ["write", "pwrite through /proc", "mmap", "fallocate", "sendfile", "direct"])
@pytest.mark.parametrize("held", [False, True], ids=["", "held"])
def test_no_way_of_writing_leaves_a_trace(shown, folder, how, held):
    """Whoever has the file open, or mapped, sees what was there before, and so does who comes later."""
    before = (shown / "page").read_bytes()
    reader = os.open(shown / "page", os.O_RDONLY) if held else None
    refused = shown.status()["fuse_requests"]
    with writable_clone(shown.point, folder / "clone") as clone:
        with contextlib.suppress(OSError):
            forge(clone / "page", how)
        wait_until(lambda: (shown / "page").read_bytes() == before, "nothing is left of it")
        if held:
            assert os.pread(reader, 1 << 20, 0) == before
            os.close(reader)
        drop_caches()
        assert (shown / "page").read_bytes() == before
        assert os.stat(shown / "page").st_size == len(before)
    assert shown.status()["fuse_requests"] > refused


def test_no_remount_lets_a_write_stay(shown):
    """Root can lift the flag of the mount that everybody sees; the file system still refuses."""
    before = snapshot_of(shown.point)
    subprocess.run(["mount", "-o", "remount,rw,bind", str(shown.point)], check=True)
    try:
        for what, attempt in attempts(shown.point).items():
            if what in ("open for writing", "open for both"):
                continue
            with pytest.raises(OSError):
                attempt()
        for how in ("write", "mmap", "pwrite through /proc"):
            with contextlib.suppress(OSError):
                forge(shown / "page", how)
        wait_until(lambda: (shown / "page").read_bytes() == before[0], "nothing is left of it")
    finally:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(shown.point)], check=True)
    drop_caches()
    assert snapshot_of(shown.point) == before


def test_what_a_refused_write_tried_is_never_seen(shown, folder):
    """Through a clone the kernel lets a write begin; the worker refuses it and its bytes go."""
    before = snapshot_of(shown.point)
    with writable_clone(shown.point, folder / "clone") as clone:
        for what, attempt in attempts(clone).items():
            if what in ("open for writing", "open for both"):
                continue
            with pytest.raises(OSError) as caught:
                attempt()
            assert caught.value.errno in (errno.EROFS, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES), what
        forged = b"forged!!" * 512
        with contextlib.suppress(OSError):
            fd = os.open(clone / "page", os.O_WRONLY)
            try:
                with contextlib.suppress(OSError):
                    os.write(fd, forged)
                with contextlib.suppress(OSError):
                    os.fsync(fd)
            finally:
                with contextlib.suppress(OSError):
                    os.close(fd)
        wait_until(lambda: b"forged" not in (shown / "page").read_bytes(), "the refused bytes are gone")
        assert snapshot_of(shown.point) == before
        kill_worker(shown)
        drop_caches()
        assert snapshot_of(shown.point) == before
