#!/bin/sh
# Installs, upgrades or removes broker below a folder, for one user, without root.
#
# PREFIX/lib/apikey-broker/versions/VERSION-BUILD has the files of one build, and PREFIX/lib/apikey-broker/current is a link to the
# newest; the version before it stays too. An upgrade is the moment in which that link is replaced: whatever starts before it gets
# the old version whole, and whatever starts after it the new one.
set -eu

usage() {
  cat <<'END'
usage: sh install.sh [--prefix DIR]              install, or upgrade what is there (default: ~/.local)
       sh install.sh --uninstall [--prefix DIR]  remove it; configuration and stored keys stay, and it says where
END
}

fail() {
  echo "error: $1" >&2
  [ $# -lt 2 ] || echo "hint: $2" >&2
  exit 1
}

# What is linked into the folders that shells and man look in: PREFIX/FIRST → lib/apikey-broker/current/SECOND.
links() {
  read -r machine _ < "$1/platform"
  cat <<END
bin/broker bin/broker
bin/broker-key prebuilds/$machine/broker-key
share/bash-completion/completions/broker share/completion/bash
share/bash-completion/completions/broker-key share/completion/bash
share/zsh/site-functions/_broker share/completion/zsh
share/fish/vendor_completions.d/broker.fish share/completion/fish
share/fish/vendor_completions.d/broker-key.fish share/completion/fish
END
  for page in "$1"/share/man/man*/*; do
    [ ! -e "$page" ] || echo "share/man/${page#"$1"/share/man/} share/man/${page#"$1"/share/man/}"
  done
}

# Replaces a link in one step. mv without -T would move into the folder that the old link leads to.
relink() {
  ln -s "$1" "$2.new.$$"
  mv -fT "$2.new.$$" "$2"
}

is_ours() {
  [ -L "$1" ] || return 1
  case $(readlink "$1") in
    */lib/apikey-broker/current/*) return 0 ;;
    *) return 1 ;;
  esac
}

# Whether a daemon runs that was started from here. Its command line has the path through `current`, whichever version it was then.
daemon_runs() {
  for words in /proc/[0-9]*/cmdline; do
    case $(tr '\0' ' ' 2> /dev/null < "$words" || true) in
      *"$lib/current/bin/broker.mjs daemon"*) return 0 ;;
    esac
  done
  return 1
}

is_whole() { (cd "$1" && sha256sum --check --status files.sha256 2> /dev/null); }

# Of the version before, a daemon may run that has not read all of its files yet: it stays until the next upgrade.
keep_two_versions() {
  for old in "$lib"/versions/*; do
    [ "$old" = "$lib/versions/$1" ] || [ "$old" = "$lib/versions/$2" ] || rm -rf "$old"
  done
}

install() {
  here=$(cd "$(dirname "$0")" && pwd -P)
  [ -r "$here/build" ] && [ -r "$here/platform" ] || fail "$here is not the unpacked package" "run install.sh where the tarball was unpacked"
  read -r build < "$here/build"
  read -r machine cpu < "$here/platform"
  [ "$(uname -s) $(uname -m)" = "Linux $cpu" ] || fail "this package is for $machine, this machine is $(uname -s) $(uname -m)" "take that of this machine, or: npm install -g apikey-broker"
  words=$("$here/bin/node" --version 2>&1) || fail "its Node does not run here: $words" "it needs glibc 2.28 and libstdc++ (on Alpine and other systems with musl: npm install -g apikey-broker)"

  links "$here" | while read -r place _; do
    [ ! -e "$prefix/$place" ] && [ ! -L "$prefix/$place" ] || is_ours "$prefix/$place" || fail "$prefix/$place is there and not of this package; nothing was changed" "remove it (npm uninstall -g apikey-broker, if that made it), or choose another --prefix"
  done

  mkdir -p "$lib/versions" 2> /dev/null || fail "cannot write to $prefix" "choose a folder of yours: --prefix DIR"
  before=$(readlink "$lib/current" 2> /dev/null || true)
  before=${before#versions/}
  name=$build
  if [ "$before" != "" ] && [ "$(cat "$lib/current/build" 2> /dev/null)" = "$build" ] && is_whole "$lib/current"; then
    name=$before
    did="broker ${build%-*} is in $prefix already; nothing changed"
  else
    # A damaged one of the same build may be what a daemon runs from.
    [ ! -e "$lib/versions/$name" ] || name=$name.$$
    fresh=$lib/versions/.new.$$
    trap 'rm -rf "$fresh"' EXIT
    cp -R "$here" "$fresh" || fail "the files could not be written to $prefix" "make room there, and run this again"
    if ! is_whole "$fresh"; then
      is_whole "$here" || fail "$here is damaged" "unpack the tarball again; sha256sum -c SHA256SUMS checks the tarball itself"
      fail "the files could not be written completely to $prefix" "make room there, and run this again"
    fi
    mv -T "$fresh" "$lib/versions/$name"
    relink "versions/$name" "$lib/current"
    keep_two_versions "$name" "${before:-$name}"
    if [ "$before" = "" ]; then did="broker ${build%-*} is installed in $prefix"
    else did="broker ${build%-*} is installed in $prefix, in place of ${before%-*}"; fi
  fi

  links "$here" | while read -r place target; do
    up=$(echo "${place%/*}" | sed 's|[^/][^/]*|..|g')
    target=$up/lib/apikey-broker/current/$target
    [ "$(readlink "$prefix/$place" 2> /dev/null || true)" != "$target" ] || continue
    mkdir -p "$prefix/${place%/*}"
    relink "$target" "$prefix/$place"
  done
  echo "$did."

  command=broker
  case :${PATH:-}: in
    *:"$prefix/bin":*) ;;
    *)
      command=$prefix/bin/broker
      echo "PATH does not have $prefix/bin: add this line to ~/.profile (or the file of your shell):"
      echo "    export PATH=\"$prefix/bin:\$PATH\""
      ;;
  esac
  if [ "$before" = "" ]; then echo "next: $command setup"
  elif [ "$name" != "$before" ] && daemon_runs; then
    echo "next: $command service install    # the new version takes over; helpers that ask meanwhile wait"
  fi
}

uninstall() {
  [ -e "$lib" ] || [ -L "$prefix/bin/broker" ] || { echo "There is no broker in $prefix."; return; }
  home=${HOME:-/nonexistent}
  state=${BROKER_STATE_DIR:-${XDG_STATE_HOME:-$home/.local/state}/broker}
  config=${XDG_CONFIG_HOME:-$home/.config}
  # A service, or a record of how helpers start the daemon, that leads to what is about to go.
  if grep -qsF "$lib/" "$state/launch" "$config/systemd/user/broker.service"; then
    "$lib/current/bin/broker" service stop > /dev/null 2>&1 || true
    "$lib/current/bin/broker" service uninstall || echo "The service could not be removed: systemctl --user disable --now broker.socket broker.service"
  fi
  { links "$lib/current" 2> /dev/null || true; } | while read -r place _; do
    ! is_ours "$prefix/$place" || rm "$prefix/$place"
  done
  # Of a version that had more of them.
  for place in "$prefix"/bin/broker "$prefix"/bin/broker-key "$prefix"/share/man/man*/broker*; do
    ! is_ours "$place" || rm "$place"
  done
  rm -rf "$lib"
  for folder in lib bin share/bash-completion/completions share/bash-completion share/zsh/site-functions share/zsh \
    share/fish/vendor_completions.d share/fish share/man/man1 share/man/man5 share/man share; do
    rmdir "$prefix/$folder" 2> /dev/null || true
  done
  rmdir "$prefix" 2> /dev/null || true
  echo "broker is removed from $prefix."
  for rest in "$config/broker" "$state"; do
    [ ! -e "$rest" ] || echo "left: $rest"
  done
  for settings in "${CLAUDE_CONFIG_DIR:-$home/.claude}/settings.json" "${CODEX_HOME:-$home/.codex}/config.toml"; do
    ! grep -qs broker-key "$settings" || echo "left: broker-key in $settings, which has no key to give any more: remove it"
  done
}

main() {
  action=install
  prefix=
  while [ $# -gt 0 ]; do
    case $1 in
      --prefix=*) prefix=${1#--prefix=} ;;
      --prefix)
        [ $# -gt 1 ] || fail "--prefix takes a folder"
        prefix=$2
        shift
        ;;
      --uninstall) action=uninstall ;;
      -h | --help)
        usage
        return
        ;;
      *)
        usage >&2
        fail "unknown word: $1"
        ;;
    esac
    shift
  done
  [ -n "$prefix" ] || [ -n "${HOME:-}" ] || fail "HOME is not set" "name a folder: --prefix DIR"
  prefix=${prefix:-$HOME/.local}
  case $prefix in
    /*) ;;
    *) prefix=$PWD/$prefix ;;
  esac
  # As it is spelt in the paths that the daemon records.
  if [ -d "$prefix" ]; then prefix=$(cd "$prefix" && pwd -P)
  elif [ $action = install ]; then mkdir -p "$prefix" 2> /dev/null && prefix=$(cd "$prefix" && pwd -P) || fail "cannot make $prefix" "choose a folder of yours: --prefix DIR"; fi
  prefix=${prefix%/}
  lib=$prefix/lib/apikey-broker
  $action
}

# Read whole before it runs: --uninstall removes this very file.
main "$@"
exit
