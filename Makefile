# What a newcomer needs. Every target first installs what is missing (Debian 12, as root; otherwise
# it says what to install) and keeps all it makes in build/.
#
#   make          build/akvfs and build/akv-emulator, as users run them
#   make demo     a real mount against the emulator: list, read, rotate, read again, unmount
#   make test     unit tests and integration tests, under the sanitizers
#   make test-sandbox  the integration tests with the worker's system calls bound by its list
#   make test-vm  the tests on Debian's kernel and systemd, in a virtual machine
#   make lint     format, static analysis, and the rules of the house
#   make bench    build/bench.json and a short table
#   make stress-csi    the driver with a full node's volumes: bursts, a thousand lives, kills
#   make fuzz     each fuzzer for FUZZ_SECONDS (30)
#   make rootfs   the tree of the container image in build/rootfs, without Docker
#   make install  DESTDIR and PREFIX as usual
#   make clean    everything but the sources goes

PREFIX ?= /usr/local
DESTDIR ?=
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 30

# mount(8) looks for mount.TYPE here and nowhere else.
SBINDIR ?= /sbin
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
UNITDIR ?= $(PREFIX)/lib/systemd/system

deps = @tests/tools/install-deps

.PHONY: all
all:
	$(deps) build
	@cmake --preset release -DAKVFS_TESTS=OFF --log-level=NOTICE
	@cmake --build --preset release -j $(JOBS)

.PHONY: demo
demo: all
	$(deps) demo
	@tests/demo/demo.sh

.PHONY: test test-unit test-integration
test: test-unit test-integration

test-unit:
	$(deps) test
	@JOBS=$(JOBS) tests/tools/test-unit

test-integration:
	$(deps) test
	@JOBS=$(JOBS) tests/tools/test-integration

# The sanitizers cannot run under the worker's list of system calls, so once more without them.
.PHONY: test-sandbox
test-sandbox:
	$(deps) test
	@cmake --preset dev --log-level=NOTICE >/dev/null
	@cmake --build --preset dev -j $(JOBS) --target akvfs akv-emulator stress
	@AKVFS_BUILD=build/dev tests/tools/test-integration

# Linux 6.1 and a systemd of its own, where this machine may have another kernel and no init at all.
.PHONY: test-vm
test-vm:
	$(deps) vm
	@JOBS=$(JOBS) tests/tools/tally tests/vm/run

.PHONY: lint
lint:
	$(deps) lint
	@JOBS=$(JOBS) tests/lint/run

.PHONY: format
format:
	$(deps) lint
	@tests/lint/files .c .h | xargs clang-format -i

.PHONY: bench
bench: all
	$(deps) bench
	@cmake --build --preset release -j $(JOBS) --target stress-many stress-rotate stress-crash stress-pair
	@tests/tools/apart tests/bench/run

# What tests/integration/csi/test_scale.py shows in small, in full, with the program that users run.
.PHONY: stress-csi
stress-csi: all
	$(deps) test
	@cmake --build --preset release -j $(JOBS) --target stress
	@AKVFS_SCALE=full AKVFS_BUILD=build tests/tools/test-integration -s -v \
		tests/integration/csi/test_many.py tests/integration/csi/test_scale.py

.PHONY: fuzz
fuzz:
	$(deps) fuzz
	@JOBS=$(JOBS) FUZZ_SECONDS=$(FUZZ_SECONDS) tests/tools/fuzz

.PHONY: install
install: all
	install -D -m 0755 build/akvfs "$(DESTDIR)$(BINDIR)/akvfs"
	install -D -m 0644 docs/man/akvfs.8 "$(DESTDIR)$(MANDIR)/man8/akvfs.8"
	sed 's|/usr/bin/akvfs|$(BINDIR)/akvfs|' deploy/systemd/akvfs@.service | \
		install -D -m 0644 /dev/stdin "$(DESTDIR)$(UNITDIR)/akvfs@.service"
	install -d "$(DESTDIR)$(SBINDIR)"
	ln -sf "$(BINDIR)/akvfs" "$(DESTDIR)$(SBINDIR)/mount.akvfs"

.PHONY: rootfs
rootfs: all
	$(deps) rootfs
	@rm -rf build/rootfs
	@deploy/image/rootfs build/rootfs

.PHONY: clean
clean:
	rm -rf build
