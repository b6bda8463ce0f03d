#!/usr/bin/env bash
# Installs what building and testing eRaft needs beside Go and a C compiler. Does nothing where all is there.
set -euo pipefail

packages=()
need() { # what to look for, Debian package
  eval "$1" >/dev/null 2>&1 || packages+=("$2")
}
compiles() { printf '#include <%s>\nint main(){return 0;}\n' "$1" | cc -x c - -o /dev/null; }
need 'compiles rocksdb/c.h' librocksdb-dev
for pair in zlib.h:zlib1g-dev snappy-c.h:libsnappy-dev lz4.h:liblz4-dev zstd.h:libzstd-dev; do
  need "compiles ${pair%%:*}" "${pair##*:}"
done
command -v c++ >/dev/null || packages+=(g++)
if [ "${1:-}" = test ]; then
  command -v redis-server >/dev/null || packages+=(redis-server)
  PATH=$PATH:/sbin:/usr/sbin command -v mkfs.ext4 >/dev/null || packages+=(e2fsprogs)
  need '/usr/bin/python3 -c "import redis"' python3-redis
  command -v node >/dev/null || packages+=(nodejs)
  command -v npm >/dev/null || packages+=(npm)
fi

by_hand() {
  echo "eRaft needs these Debian packages: ${packages[*]}" >&2
  echo "$1 Please install them by hand (RocksDB 7.8 headers and library, and its compression libraries; Node.js 20 for tests)." >&2
  exit 1
}
install() {
  command -v apt-get >/dev/null || by_hand "There is no apt-get here."
  sudo=
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || by_hand "This user may not run apt-get and there is no sudo."
    sudo=sudo
  fi
  echo "installing ${packages[*]}"
  $sudo apt-get update -qq || by_hand "apt-get update failed."
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null || by_hand "apt-get install failed."
}
[ ${#packages[@]} -eq 0 ] || install

if [ "${1:-}" = test ]; then # the clients of tests/clients_test.go, as package-lock.json names them
  cd "$(dirname "$0")/../tests/clients"
  if ! cmp -s package-lock.json node_modules/.installed; then
    npm ci --no-audit --no-fund --loglevel=error
    cp package-lock.json node_modules/.installed
  fi
fi
