#!/bin/bash
# log-in.sh UID HOME CGROUP: starts that user's own systemd, which goes on.
unset BROKER_SOCKET # of the tests; who logs in has none
. "$(dirname "$0")/namespace.sh"
log_in "$@"
