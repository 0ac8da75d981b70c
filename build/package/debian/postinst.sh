#!/bin/sh
# Starts nothing: a daemon belongs to a user, who sets it up. Tells what to do, and for whom.
set -e
[ "$1" = configure ] || exit 0
if [ -z "${2:-}" ]; then
  echo "apikey-broker: nothing was started. Each user runs: broker setup"
  exit 0
fi
users=
for words in /proc/[0-9]*/cmdline; do
  case $(tr '\0' ' ' 2> /dev/null < "$words" || true) in
    */usr/lib/apikey-broker/bin/broker.mjs\ daemon*) users="$users $(stat -c %U "${words%/cmdline}" 2> /dev/null || true)" ;;
  esac
done
users=$(echo "$users" | tr ' ' '\n' | sort -u | tr '\n' ' ' | sed 's/^ *//; s/ *$//')
if [ -n "$users" ]; then
  echo "apikey-broker: daemons of the former version go on for: $users. Each of them runs: broker service install"
  echo "  (where the socket was enabled for everybody: systemctl --user restart broker.service). Helpers that ask meanwhile wait."
fi
