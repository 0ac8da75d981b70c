#!/bin/bash
# log-in.sh UID HOME CGROUP: starts that user's own systemd, which goes on.
. "$(dirname "$0")/namespace.sh"
log_in "$@"
