#!/bin/sh
# What `systemctl --global enable broker.socket` made would lead nowhere.
set -e
[ "$1" = remove ] || exit 0
link=/etc/systemd/user/sockets.target.wants/broker.socket
if [ "$(readlink "$link" 2> /dev/null || true)" = /usr/lib/systemd/user/broker.socket ]; then rm -f "$link"; fi
