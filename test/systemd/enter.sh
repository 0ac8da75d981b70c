#!/bin/bash
# Inside a private mount and pid namespace: a systemd --user of its own for UID, then COMMAND in its session.
# enter.sh UID HOME CGROUP COMMAND...
set -eu
uid=$1 home=$2 cgroup=$3
shift 3
mount -t tmpfs -o mode=755 tmpfs /run
# What the system's own systemd would have made; unit-root is where services with a sandbox get their root.
mkdir -p /run/systemd/system /run/systemd/unit-root /run/credentials /run/user
install -d -m 700 -o "$uid" -g "$uid" "/run/user/$uid"
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p "/sys/fs/cgroup/$cgroup/session"
echo $$ > "/sys/fs/cgroup/$cgroup/session/cgroup.procs"
chown -R "$uid:$uid" "/sys/fs/cgroup/$cgroup"
if ! getent passwd "$uid" > /dev/null; then
  { cat /etc/passwd; echo "broker-test:x:$uid:$uid::$home:/bin/sh"; } > /run/passwd
  mount --bind /run/passwd /etc/passwd
fi
export HOME=$home XDG_RUNTIME_DIR=/run/user/$uid
unset DBUS_SESSION_BUS_ADDRESS XDG_CONFIG_HOME XDG_STATE_HOME
cd "$home"
as_user() { setpriv --reuid "$uid" --regid "$uid" --clear-groups --inh-caps=-all "$@"; }
as_user /lib/systemd/systemd --user --log-target=console > "$home/systemd.log" 2>&1 &
for _ in $(seq 100); do
  [ -S "$XDG_RUNTIME_DIR/systemd/private" ] && break
  sleep 0.1
done
cd - > /dev/null
status=0
as_user "$@" || status=$?
as_user systemctl --user exit || true
exit "$status"
