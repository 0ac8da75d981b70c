#!/bin/bash
# Inside a private mount and pid namespace: COMMAND as root of a machine on which nobody has logged in yet.
# machine.sh CGROUP COMMAND...
set -eu
. "$(dirname "$0")/namespace.sh"
cgroup=$1
shift
namespace "$cgroup"
export BROKER_TEST_CGROUP=$cgroup
status=0
"$@" || status=$?
[ "$status" = 0 ] || journalctl --no-pager --lines=60
exit "$status"
