#!/usr/bin/env bash
# Installs, starts and removes the packages for Linux as people do, on Debian as root: the deb in a fresh root folder, the
# AppImage's folder, and the steps of the container's Dockerfile in a folder of their own, since no container engine is
# needed to see that they work. Builds everything twice first and compares.
#   PACKAGES=DIR  takes packages that are there instead of building
#   ROOT=DIR      takes a root folder that debootstrap made instead of making one
set -euo pipefail
cd "$(dirname "$0")/../.."

[ "$(id -u)" = 0 ] || { echo "run it as root: it installs into a root folder" >&2; exit 1; }
work=$(mktemp -d /var/tmp/patchbay-packages.XXXXXX)
started=()
finish() {
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  mountpoint -q "$work/root/proc" && umount "$work/root/proc"
  rm -rf --one-file-system "$work"
}
trap finish EXIT
say() { printf '\n== %s\n' "$*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }

VERSION=${VERSION:-0.1.0}
if [ -z "${PACKAGES:-}" ]; then
  PACKAGES=$work/one
  say "build twice, compare"
  for out in one two; do
    go run ./build/package -version "$VERSION" -out "$work/$out" -without-appimage linux ${WINDOWS:+windows} sums
  done
  cmp "$work/one/SHA256SUMS" "$work/two/SHA256SUMS" || fail "two builds of the same source differ"
  (cd "$PACKAGES" && sha256sum -c --quiet SHA256SUMS)
fi
deb=$(echo "$PACKAGES"/*.deb)
[ -f "$deb" ] || fail "there is no deb in $PACKAGES"

# port prints a free port.
port() { perl -MSocket -e 'socket(S,PF_INET,SOCK_STREAM,0);bind(S,sockaddr_in(0,INADDR_LOOPBACK));print((sockaddr_in(getsockname(S)))[0])'; }
# healthy COMMAND...: waits until the health check passes.
healthy() {
  for _ in $(seq 100); do
    "$@" health >/dev/null 2>&1 && return
    sleep 0.2
  done
  "$@" health
}

say "deb: install into a fresh Debian"
root=$work/root
if [ -n "${ROOT:-}" ]; then cp -a "$ROOT" "$root"; else debootstrap --variant=minbase bookworm "$root" >"$work/debootstrap.log" || fail "$(tail -5 "$work/debootstrap.log")"; fi
mount -t proc proc "$root/proc" 2>/dev/null || true
cp "$deb" "$root/tmp/p.deb"
before=$(cd "$root" && find usr etc -xdev | sort)
chroot "$root" dpkg -i /tmp/p.deb
chroot "$root" dpkg --verify patchbay
chroot "$root" patchbay version
for f in usr/share/bash-completion/completions/patchbay usr/share/man/man1/patchbay.1.gz usr/lib/systemd/user/patchbay.service usr/share/applications/dev.patchbay.Patchbay.desktop; do
  [ -s "$root/$f" ] || fail "$f is missing"
done

say "deb: start as an ordinary person"
chroot "$root" useradd -m mila
# Not functions: what is started in the background must be the program itself, to be ended by its number.
as=(chroot --userspec=mila:mila "$root" env -i HOME=/home/mila PATH=/usr/bin:/bin)
p=$(port)
"${as[@]}" patchbay serve --listen "127.0.0.1:$p" >"$work/serve.log" 2>&1 &
started+=($!)
healthy "${as[@]}" patchbay || { cat "$work/serve.log"; fail "it does not start"; }
chroot "$root" /bin/bash -c "exec 3<>/dev/tcp/127.0.0.1/$p && printf 'GET /health HTTP/1.0\r\nHost: 127.0.0.1:$p\r\n\r\n' >&3 && head -1 <&3"
kill "${started[-1]}" && wait "${started[-1]}" || true
[ -f "$root/home/mila/.local/share/patchbay/patchbay.db" ] || fail "no database was made"

say "deb: purge"
chroot "$root" dpkg --purge patchbay | tee "$work/purge.log"
grep -q "127.0.0.1:8390" "$work/purge.log" || fail "nobody is told about the apps"
left=$(comm -13 <(echo "$before") <(cd "$root" && find usr etc -xdev | sort) | grep -v -e '^etc/\(passwd\|group\|shadow\|gshadow\|subuid\|subgid\)-\?$' -e '^etc/.pwd.lock$' || true)
[ -z "$left" ] || fail "left behind: $left"
[ -f "$root/home/mila/.local/share/patchbay/patchbay.db" ] || fail "purging deleted a person's data"

say "container: the last stage of the Dockerfile, by hand"
image=$work/image
mkdir -p "$image"/{etc/ssl/certs,tmp,data}
chmod 1777 "$image/tmp"
dpkg-deb --fsys-tarfile "$deb" | tar -xO ./usr/bin/patchbay >"$image/patchbay"
chmod 755 "$image/patchbay"
[ ! -f /etc/ssl/certs/ca-certificates.crt ] || cp /etc/ssl/certs/ca-certificates.crt "$image/etc/ssl/certs/"
user=$(sed -n 's/^USER //p' build/container/Dockerfile)
chown "$user" "$image/data"
mapfile -t env < <(sed -n 's/^ENV //p' build/container/Dockerfile)
p=$(port)
inside=(env -i "${env[@]}" PATCHBAY_SERVER_LISTEN="0.0.0.0:$p" "$(command -v chroot)" --userspec="$user" "$image" /patchbay)
for round in first second; do
  "${inside[@]}" serve >"$work/container-$round.log" 2>&1 &
  started+=($!)
  healthy "${inside[@]}" || { cat "$work/container-$round.log"; fail "the container's program does not start"; }
  [ "$round" = second ] || "${inside[@]}" keys add app >/dev/null
  grep -q '^HEALTHCHECK.*"/patchbay", "health"' build/container/Dockerfile || fail "the health check is another"
  kill "${started[-1]}" && wait "${started[-1]}" || true
  if "${inside[@]}" health >/dev/null 2>&1; then fail "the health check passes although nothing runs"; fi
done
"${inside[@]}" keys --json >"$work/keys.json"
grep -q '"app"' "$work/keys.json" || fail "what was made before the restart is gone"
strangers=$(find "$image" -newer "$image/patchbay" -type f ! -path "$image/data/*" ! -path "$image/etc/*")
[ -z "$strangers" ] || fail "written outside the volume: $strangers"
[ "$(stat -c %u "$image/data/patchbay.db")" = "${user%%:*}" ] || fail "the database belongs to somebody else"

say "everything works"
