# SPDX-License-Identifier: GPL-2.0
#
# What a person types. kbuild itself reads Kbuild; how kernels are got and
# started is in tests/vm/.
#
#   make                 modules for Debian's stock 6.1 kernel, and qmirrorctl
#   make KERNEL=6.12     the same for 6.12
#   make KDIR=/path      modules against any headers tree, 6.1 to 7.2
#   make check           everything that has to pass, on 6.1
#
# `make help` has the rest. Several kernels live side by side in build/RELEASE/.

KERNEL ?= 6.1
# Folders that make up the modules; Kbuild says what is built in them.
MODULE_DIRS := include block-copy dm-qmirror dm-cbw

top := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
Q := $(if $(V),,@)
# How many guests at once, and which tests: make functional T='copy*'
JOBS ?= 2
T ?= *
# How many groups of snapshots `make soak` takes
GROUPS ?= 3000

.PHONY: all modules tools userspace setup modules_install install clean help
.PHONY: check check-all check-7.2 check-debug check-kmemleak check-kcsan
.PHONY: compile-7.2 unit functional soak model fuzz fuzz-tools fuzz-parsers lint
.PHONY: foreign demo bench bench-quick bench-all bench-freeze bench-scale
.PHONY: bench-peers

all: modules userspace

# --- kernel modules --------------------------------------------------------

ifdef KDIR
modules:
	$(Q)tests/vm/build-modules "$(KDIR)"

modules_install: modules
	$(Q)tests/vm/build-modules --install "$(KDIR)"
else
# The stock headers: fetched when they are missing, hence not known before.
modules: setup
	$(Q)tests/vm/build-modules $(KERNEL)

# Into the running system's own kernel, so its headers must be installed.
modules_install:
	$(Q)$(MAKE) modules_install KDIR=/lib/modules/$$(uname -r)/build
endif

setup:
	$(Q)tests/vm/setup --kernel $(KERNEL)

# --- user space ------------------------------------------------------------

# What both folders hold is their own Makefile's business.
userspace tools:
	$(Q)if [ -f $(dir_$@)/Makefile ]; then $(MAKE) -C $(dir_$@); fi
dir_userspace := userspace
dir_tools := tests/tools

# The libraries' headers come with the same setup as the kernels.
userspace tools: setup

# Tool, manual page, completion, udev rule; DESTDIR and PREFIX go through.
install: userspace
	$(Q)$(MAKE) -C userspace install

# --- tests -----------------------------------------------------------------

check: all
	$(Q)$(MAKE) --no-print-directory unit functional

# The matrix: everything on three kernels.
check-all:
	$(Q)$(MAKE) --no-print-directory check KERNEL=6.1
	$(Q)$(MAKE) --no-print-directory all functional KERNEL=6.12
	$(Q)$(MAKE) --no-print-directory compile-7.2
	$(Q)$(MAKE) --no-print-directory check-7.2

# The newest kernel we support, built here from Debian's source as a program
# (user-mode Linux); the first time that takes some ten minutes. One test at a
# time: the machines take what processors there are.
check-7.2:
	$(Q)$(MAKE) --no-print-directory all functional KERNEL=7.2-uml JOBS=1

# The same version again, with everything that sees mistakes where they are made:
# KASAN, lockdep, UBSAN. Then with the leak detector, which looks once the modules
# are unloaded; and, in QEMU, with the race detector, for what takes no locks.
# Hours: see Documentation/testing.rst.
check-debug:
	$(Q)$(MAKE) --no-print-directory all functional KERNEL=7.2-debug JOBS=1

check-kmemleak:
	$(Q)$(MAKE) --no-print-directory all functional KERNEL=7.2-kmemleak JOBS=1 \
		T='$(if $(filter-out *,$(T)),$(T),$(LEAK_TESTS))'

check-kcsan:
	$(Q)$(MAKE) --no-print-directory all functional KERNEL=7.2-kcsan JOBS=1 \
		T='$(if $(filter-out *,$(T)),$(T),$(RACE_TESTS))'

# Lives and ends of all kinds; what many do at once. T= for others.
LEAK_TESTS := lifecycle table start reload verbs orphans fault-mirror \
	cbw-life cbw-table cbw-errors cbw-release cbw-wait fault-cbw
RACE_TESTS := copy load bounce reload verbs ranges orphans flush ending \
	cbw-proof cbw-view cbw-errors cbw-release cbw-limits cbw-window cbw-life

# The same version's headers: their tools do not run on Debian 12, so the
# modules are compiled and not linked.
compile-7.2:
	$(Q)tests/vm/setup --kernel 7.2
	$(Q)tests/vm/build-modules --compile 7.2

# Folders with tests that need no kernel have a target `check`.
unit: setup
	$(Q)set -e; for d in tests/unit userspace tests/fuzz; do \
		if grep -qs '^check:' $$d/Makefile; then $(MAKE) -C $$d check; \
		else echo "unit: nothing in $$d" >&2; fi; \
	done
	$(Q)tests/parity-check

functional: modules userspace tools fuzz-tools
	$(Q)if grep -qs '^faults:' userspace/Makefile; then \
		$(MAKE) -C userspace faults; fi
	$(Q)tests/vm/functional --kernel $(KERNEL) --jobs $(JOBS) '$(T)'

# The protocols as Promela, and what goes wrong without each step: spin, gcc.
model:
	$(Q)tests/model/run '$(if $(filter *,$(T)),,$(T))'

# That a group of snapshots is of one instant: with 64 members, and thousands of times.
soak:
	$(Q)QMIRROR_SIZES='1 2 8 64' $(MAKE) --no-print-directory functional T=snap-members V=1
	$(Q)QMIRROR_GROUPS=$(GROUPS) $(MAKE) --no-print-directory functional T=snap-atomic V=1

# What runs in `make functional` for some seconds, for as long as wanted, on the
# kernel where most orders fit into a second; the seed is in its first lines.
TIME ?= 600
FUZZ_KERNEL ?= 7.2-uml
fuzz: fuzz-tools
	$(Q)$(MAKE) --no-print-directory modules KERNEL=$(FUZZ_KERNEL)
	$(Q)tests/vm/run --kernel $(FUZZ_KERNEL) --timeout $$(($(TIME) + 300)) \
		--log build/log/fuzz.log --env QMIRROR_FUZZ_TIME=$(TIME) \
		-- tests/functional/fuzz.t

# The tool's parsers, here and without a kernel; `unit` runs what they are known
# to get right.
fuzz-parsers: setup
	$(Q)$(MAKE) -C tests/fuzz parsers TIME=$(TIME)

# Other projects' tests on our devices, from checkouts of theirs (--help of the script
# has all variables).
foreign: modules userspace tools
	$(Q)tests/foreign/run --kernel $(KERNEL) $(SUITE)

fuzz-tools: setup
	$(Q)$(MAKE) -C tests/fuzz

demo: all tools
	$(Q)tests/vm/run --kernel $(KERNEL) --timeout 600 -- demo/demo.sh
	$(Q)tests/vm/run --kernel $(KERNEL) --timeout 600 -- demo/snapshot.sh
	$(Q)tests/vm/run --kernel $(KERNEL) --timeout 600 -- demo/group.sh

bench: modules
	$(Q)tests/bench/bench --kernel $(KERNEL)

# Wall clock: on a machine with nothing else to do.
bench-freeze: userspace tools
	$(Q)$(MAKE) --no-print-directory modules KERNEL=7.2-uml
	$(Q)tests/vm/run --kernel 7.2-uml --timeout 900 -- tests/bench/freeze.sh

bench-quick: modules
	$(Q)tests/bench/bench --kernel $(KERNEL) --quick

# Cost and memory by size, granularity, dirty chunks and number of mirrors; ten minutes.
bench-scale: modules tools
	$(Q)tests/bench/scale --kernel $(KERNEL)

# The same count for what is no dm target: QEMU's storage daemon, LVM. On 6.12, whose
# kernel has the daemon's best export.
bench-peers:
	$(Q)$(MAKE) --no-print-directory modules KERNEL=6.12
	$(Q)tests/bench/peers --kernel 6.12

# Everything in Documentation/bench; what needs time is timed on 7.2, built here.
bench-all: modules tools
	$(Q)tests/bench/matrix --kernel $(KERNEL)
	$(Q)tests/bench/scale --kernel $(KERNEL)
	$(Q)$(MAKE) --no-print-directory bench-peers
	$(Q)$(MAKE) --no-print-directory modules KERNEL=7.2-uml
	$(Q)tests/bench/clock wall

lint: setup
	$(Q)tests/vm/lint --kernel $(KERNEL)

# --- the rest --------------------------------------------------------------

clean:
	$(Q)rm -rf build
	$(Q)for d in userspace tests/tools tests/fuzz tests/unit; do \
		if [ -f $$d/Makefile ]; then $(MAKE) -C $$d clean; fi; \
	done

help:
	@echo 'make                  modules (W=1) for kernel $(KERNEL), and qmirrorctl'
	@echo 'make KERNEL=6.12      the same for 6.12;  KDIR=/path: for any headers'
	@echo 'make modules|userspace   one half of that'
	@echo 'make install          qmirrorctl, its manual, completion and udev rule'
	@echo '                      (DESTDIR=, PREFIX=)'
	@echo 'make modules_install  modules for the running kernel (or KDIR=)'
	@echo 'make check            unit and functional tests on $(KERNEL), in VMs'
	@echo 'make check-all        the matrix: 6.1, 6.12, and 7.2 by compile-7.2 and check-7.2'
	@echo 'make check-7.2        functional tests on a 7.2 built here; KERNEL=7.2-uml for'
	@echo '                      single tests'
	@echo 'make check-debug      the same with KASAN, lockdep, UBSAN; hours (7.2-debug)'
	@echo 'make check-kmemleak   lives and ends with the leak detector (7.2-kmemleak)'
	@echo 'make check-kcsan      what many do at once, with the race detector (7.2-kcsan)'
	@echo 'make compile-7.2      do the modules compile with the headers of 7.2?'
	@echo 'make unit             only what needs no kernel'
	@echo "make functional       only the VM tests (T='copy*' JOBS=1 SEED=7)"
	@echo 'make model            the protocols, checked by spin (BOUNDS=large: hours)'
	@echo 'make soak             thousands of group snapshots (GROUPS=3000), hours'
	@echo 'make fuzz             orders and tables by chance, on $(FUZZ_KERNEL)'
	@echo '                      (TIME=3600 SEED=N FUZZ_KERNEL=7.2-debug)'
	@echo 'make fuzz-parsers     the tool under libFuzzer (TIME=600 SEED=N)'
	@echo 'make foreign          blktests, fsx and fsstress on our devices'
	@echo '                      (FOREIGN_BLKTESTS=DIR FOREIGN_XFSTESTS=DIR SUITE=fs|blktests)'
	@echo 'make bench            cost per I/O against dm-linear, with the bars'
	@echo 'make bench-freeze     for how long a group snapshot stops its members'
	@echo "make bench-peers      the same for QEMU's storage daemon and LVM, and ours"
	@echo 'make bench-quick      its bars of instructions only, two minutes'
	@echo 'make bench-scale      cost and memory by size, dirty chunks, number of mirrors'
	@echo 'make demo             three acts in VMs: mirror, snapshot, group'
	@echo 'make bench-all        the tables and pictures of Documentation/bench'
	@echo 'make lint             all static checks, kernel and user space'
	@echo 'make setup            packages and the stock kernel (others do it, too)'
	@echo 'make clean            remove build/'
	@echo
	@echo 'V=1 shows the commands. Kernels are kept in $$QMIRROR_CACHE'
	@echo '(default ~/.cache/qmirror) and never installed.'
