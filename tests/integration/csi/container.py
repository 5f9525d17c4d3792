"""What a container runtime does with a program of ours: it starts it, and keeps what it says."""

import contextlib
import os
import subprocess

from machine import wait_until


def signal_all(pids, sig):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, sig)


class Container:
    """One process, with a log like that of `kubectl logs`."""

    process = log = None

    def launch(self, akvfs, folder, words):
        """Ended by akvfs's own end at the latest, with what is mounted below the folder."""
        self.log = akvfs.folder / f"container-log-{len(akvfs.logs)}"
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                [str(word) for word in words],
                env=akvfs.environment(
                    AZURE_CLIENT_ID=None, AZURE_CLIENT_SECRET=None, AZURE_TENANT_ID=None,
                    # LeakSanitizer's own tracer was seen to crash at the end of a driver. Leaks of
                    # csi/ are looked for by its unit tests.
                    ASAN_OPTIONS="detect_leaks=0:exitcode=99",
                ),
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        akvfs.logs.append(self.log)
        akvfs.started.append((folder, self.process, None))

    def log_text(self):
        return self.log.read_text(errors="replace")

    def wait_for_log(self, text, count=1):
        def said():
            assert self.process.poll() is None or text in self.log_text(), self.log_text()
            return self.log_text().count(text) >= count

        wait_until(said, f"the log says {text!r}")
