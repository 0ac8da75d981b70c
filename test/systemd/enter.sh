#!/bin/bash
# Inside a private mount and pid namespace: a systemd --user of its own for UID, then COMMAND in its session.
# enter.sh UID HOME CGROUP COMMAND...
set -eu
. "$(dirname "$0")/namespace.sh"
uid=$1 home=$2 cgroup=$3
shift 3
namespace "$cgroup"
chown -R "$uid:$uid" "/sys/fs/cgroup/$cgroup"
# What an administrator or a package manager keeps for its users: two generations, and one where only root may tell.
for file in /etc/broker-test/1/config.toml /etc/broker-test/2/config.toml /run/broker-test/3/config.toml; do
  mkdir -p "${file%/*}"
  key=${file%/*}
  printf 'default = "key"\n[providers.command]\ntype = "exec"\n[credentials.key]\nprovider = "command"\ncommand = ["echo", "sk-%s"]\n' "${key##*/}" > "$file"
  chmod 444 "$file"
done
log_in "$uid" "$home" "$cgroup"
status=0
as "$uid" "$home" "$@" || status=$?
[ "$status" = 0 ] || journalctl --no-pager --lines=60 || cat "$home/systemd.log"
as "$uid" "$home" systemctl --user exit || true
exit "$status"
