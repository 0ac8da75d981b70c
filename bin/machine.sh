# Sourced by its neighbours: where in the package the binaries of this machine are. A name that nobody exports: a shell hands
# on what it changes of its environment.
case $(uname -sm) in
  'Linux x86_64') _broker_machine=linux-x64 ;;
  'Linux aarch64') _broker_machine=linux-arm64 ;;
  'Darwin x86_64') _broker_machine=darwin-x64 ;;
  'Darwin arm64') _broker_machine=darwin-arm64 ;;
  *) _broker_machine=unknown ;;
esac
