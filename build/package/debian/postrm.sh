#!/bin/sh
# What is in homes belongs to their users. Nothing outside of them is left, so there is nothing to purge.
set -e
if [ "$1" = remove ]; then
  echo "apikey-broker: a daemon that runs goes on until its user's session ends. In the home of each user who had set it up are left:"
  echo "  ~/.config/broker, ~/.local/state/broker, perhaps broker.service and broker.socket in ~/.config/systemd/user, and in"
  echo "  the settings of Claude Code the line apiKeyHelper."
fi
