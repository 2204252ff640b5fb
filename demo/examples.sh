#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# examples.sh [FILE] - run the examples of a document (README.md) as a reader
# would type them: every shell block behind a line "<!-- run -->", in order, in
# one shell, stopping at the first that fails. In the rig, because they need
# root and real devices:
#
#	tests/vm/run -- demo/examples.sh

set -euo pipefail
file=$(realpath "${1-$(dirname "$0")/../README.md}")

if [[ ! ${QMIRROR_KVER-} ]]; then
	echo "This makes devices and file systems: tests/vm/run -- $0" >&2
	exit 2
fi

modprobe -a loop dm-mod
cd "$(mktemp -d)"
awk '/^<!-- run -->$/ { want = 1; next }
     want && /^```sh$/ { want = 0; on = 1; next }
     /^```$/ { on = 0 }
     on' "$file" > examples
[[ -s examples ]] || { echo "no examples in $file" >&2; exit 1; }
bash -euo pipefail -x examples
echo "all examples of ${file##*/} work"
