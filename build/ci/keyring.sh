#!/usr/bin/env bash
# Runs the tests of the vault against a real gnome-keyring, in a session bus and a home folder of its own. The person's
# keychain is never touched: the bus starts nothing by itself, and every folder is temporary.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ "$(uname -s)" != Linux ]; then
  echo "keyring: these tests are for Linux; skipped"
  exit 0
fi
for tool in dbus-daemon gnome-keyring-daemon secret-tool; do
  if ! command -v "$tool" >/dev/null; then
    echo "keyring: $tool is missing; on Debian: apt-get install dbus gnome-keyring libsecret-tools" >&2
    exit 1
  fi
done

tmp=$(mktemp -d)
pids=()
cleanup() {
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do kill "${pids[i]}" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

go test -c -o "$tmp/secret.test" ./backend/secret # before the home folder changes: Go's caches are there

mkdir -p "$tmp/home" "$tmp/data/keyrings" "$tmp/config" "$tmp/cache"
mkdir -m 700 "$tmp/run" "$tmp/run/keyring"
export HOME=$tmp/home XDG_DATA_HOME=$tmp/data XDG_CONFIG_HOME=$tmp/config XDG_CACHE_HOME=$tmp/cache XDG_RUNTIME_DIR=$tmp/run
unset DISPLAY WAYLAND_DISPLAY DBUS_SESSION_BUS_ADDRESS

cat >"$tmp/bus.conf" <<'X'
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type><keep_umask/><listen>unix:tmpdir=/tmp</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
  </policy>
</busconfig>
X
dbus-daemon --config-file="$tmp/bus.conf" --nofork --print-address=3 3>"$tmp/bus" &
pids+=($!)
for _ in $(seq 100); do [ -s "$tmp/bus" ] && break; sleep 0.05; done
DBUS_SESSION_BUS_ADDRESS=$(cat "$tmp/bus")
export DBUS_SESSION_BUS_ADDRESS

echo "== a session without a keychain"
PATCHBAY_TEST_KEYRING=none "$tmp/secret.test" -test.run '^TestSessionWithoutAKeychain$' -test.v

echo "== a session with gnome-keyring"
export GNOME_KEYRING_CONTROL=$tmp/run/keyring PATCHBAY_TEST_KEYRING_PASSWORD=test-password
printf %s "$PATCHBAY_TEST_KEYRING_PASSWORD" |
  gnome-keyring-daemon --unlock --foreground --components=secrets --control-directory="$GNOME_KEYRING_CONTROL" >"$tmp/keyring.log" 2>&1 &
pids+=($!)
ready() { # the daemon takes the name before it has opened the login keyring
  dbus-send --session --print-reply --dest=org.freedesktop.secrets /org/freedesktop/secrets/collection/login \
    org.freedesktop.DBus.Properties.Get string:org.freedesktop.Secret.Collection string:Locked 2>/dev/null | grep -q 'boolean false'
}
for _ in $(seq 200); do ready && break; sleep 0.05; done
if ! ready; then
  echo "keyring: gnome-keyring did not come up" >&2
  cat "$tmp/keyring.log" >&2
  exit 1
fi
PATCHBAY_TEST_KEYRING=1 TMPDIR="${tmp%/*}" "$tmp/secret.test" -test.run '^TestGNOMEKeyring$' -test.v -test.timeout 120s
