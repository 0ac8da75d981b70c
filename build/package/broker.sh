#!/bin/sh
# Runs broker with the Node that came with it, wherever the links to this file lie.
self=$0
while [ -L "$self" ]; do
  target=$(readlink "$self")
  case $target in
    /*) self=$target ;;
    *) self=${self%/*}/$target ;;
  esac
done
bin=${self%/*}
exec "$bin/node" "$bin/broker.mjs" "$@"
