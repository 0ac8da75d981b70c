# Sourced inside a private mount and pid namespace: what the system's own systemd would have made before anybody logs in.
# namespace CGROUP; log_in UID; as UID COMMAND...
namespace() {
  mount -t tmpfs -o mode=755 tmpfs /run
  # unit-root is where services with a sandbox get their root.
  mkdir -p /run/systemd/system /run/systemd/unit-root /run/systemd/journald.conf.d /run/credentials /run/user
  # An /etc to write in, and a journal that lies on the disk as far as it knows: only such a one is split by users.
  cp -a /etc /run/etc
  mount --bind /run/etc /etc
  mount -t tmpfs -o mode=755 tmpfs /var/log
  mkdir /var/log/journal
  printf '[Journal]\nStorage=persistent\nReadKMsg=no\nAudit=no\nForwardToSyslog=no\n' > /run/systemd/journald.conf.d/test.conf
  if [ -x /lib/systemd/systemd-journald ]; then
    /lib/systemd/systemd-journald 2> /dev/null &
    wait_for /run/systemd/journal/stdout
    timeout 10 journalctl --flush || echo 'There is no journal in here.'
  fi
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mkdir -p "/sys/fs/cgroup/$1/session"
  echo $$ > "/sys/fs/cgroup/$1/session/cgroup.procs"
}

wait_for() {
  for _ in $(seq 100); do
    [ -S "$1" ] && return
    sleep 0.1
  done
  echo "$1 never came"
}

# A systemd --user of UID's own, at home in HOME, with its groups below CGROUP where logind would make them.
log_in() {
  local uid=$1 home=$2 cgroup=$3/user-$1.slice/user@$1.service
  install -d -m 700 -o "$uid" -g "$uid" "/run/user/$uid"
  mkdir -p "/sys/fs/cgroup/$cgroup"
  chown -R "$uid:$uid" "/sys/fs/cgroup/$cgroup"
  getent passwd "$uid" > /dev/null || echo "broker-test-$uid:x:$uid:$uid::$home:/bin/sh" >> /etc/passwd
  # A manager makes its units' groups below its own.
  (echo "$BASHPID" > "/sys/fs/cgroup/$cgroup/cgroup.procs"
    cd "$home" && as "$uid" "$home" /lib/systemd/systemd --user --log-target=journal-or-kmsg > "$home/systemd.log" 2>&1) &
  wait_for "/run/user/$uid/systemd/private"
}

as() {
  local uid=$1 home=$2
  shift 2
  env -u DBUS_SESSION_BUS_ADDRESS -u XDG_CONFIG_HOME -u XDG_STATE_HOME HOME="$home" XDG_RUNTIME_DIR="/run/user/$uid" \
    setpriv --reuid "$uid" --regid "$uid" --clear-groups --inh-caps=-all "$@"
}
