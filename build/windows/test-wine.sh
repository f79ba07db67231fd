#!/usr/bin/env bash
# The Windows program and its installer under Wine: serves and answers, keeps the key of its secrets in the credential
# manager, installs and uninstalls silently, keeps data unless told otherwise; the program of the desktop registers its
# icon in the tray, starts at login by the registry, and is quit by the installer that replaces it. Not covered: the window
# (WebView2), the menu under the icon, and whatever Wine does differently. Debian's packages wine, wine64,
# gcc-mingw-w64-x86-64, nsis, xvfb.
#   PACKAGES=DIR takes packages that are there instead of building
set -euo pipefail
cd "$(dirname "$0")/../.."
for c in wine x86_64-w64-mingw32-gcc curl jq unzip Xvfb; do
  command -v "$c" >/dev/null || { echo "$c is missing: apt-get install wine wine64 gcc-mingw-w64-x86-64 nsis curl jq unzip xvfb" >&2; exit 1; }
done
work=$(mktemp -d /var/tmp/patchbay-wine.XXXXXX)
export WINEPREFIX=$work/prefix WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml="
unset DISPLAY
pids=()
finish() {
  wineserver -k 2>/dev/null || true # of this prefix only
  [ -z "${screen:-}" ] || kill "$screen" 2>/dev/null || true
  for p in "${pids[@]}"; do wait "$p" 2>/dev/null || true; done
  rm -rf "$work"
}
trap finish EXIT
say() { printf '\n== %s\n' "$*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }

if [ -z "${PACKAGES:-}" ]; then
  PACKAGES=$work/dist
  say "build"
  go run ./build/package -version "${VERSION:-0.1.0}" -out "$PACKAGES" windows
fi

say "a Windows with what programs in Go need"
wineboot -i >/dev/null 2>&1
wine winecfg -v win10 >/dev/null 2>&1 || true
# Wine 8 lacks this library. The real one hands out random bytes too.
cat >"$work/prng.c" <<'C'
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE p, SIZE_T n) { return SystemFunction036(p, (ULONG)n); }
C
x86_64-w64-mingw32-gcc -shared -O1 -o "$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll" "$work/prng.c" -ladvapi32

say "portable: serve, answer, keep the key"
unzip -q "$PACKAGES"/*-portable.zip -d "$work/portable"
dir=$(echo "$work"/portable/*)
patchbay() { PATCHBAY_HOME="$(winepath -w "$work/home")" wine "$dir/patchbay.com" "$@"; }
mkdir -p "$work/home"
patchbay version
port=$((20000 + RANDOM % 20000))
PATCHBAY_KEYRING=os patchbay serve --listen "127.0.0.1:$port" >"$work/serve.log" 2>&1 &
pids+=($!)
up=''
for _ in $(seq 150); do
  if curl -fsS -m 2 "http://127.0.0.1:$port/health" >"$work/health" 2>/dev/null; then up=1; break; fi
  sleep 0.4
done
[ -n "$up" ] || { cat "$work/serve.log"; fail "it does not answer"; }
cat "$work/health"; echo
PATCHBAY_KEYRING=os patchbay health
printf 'sk-wine-test-key-0123456789' | PATCHBAY_KEYRING=os patchbay accounts add openai --name wine --key-stdin
PATCHBAY_KEYRING=os patchbay vault status --json >"$work/vault.json"
jq -e '.state == "ok" and .source == "os" and .secrets >= 1' "$work/vault.json" >/dev/null || { cat "$work/vault.json"; fail "the key is not in the credential manager"; }
[ ! -e "$work/home/vault.key" ] || fail "the key lies in a file"
wineserver -k; wait "${pids[-1]}" 2>/dev/null || true; pids=()
PATCHBAY_KEYRING=os patchbay vault status --json | jq -e '.state == "ok"' >/dev/null || fail "after a restart the secrets do not open"

say "installer: silent install"
setup=$(echo "$PACKAGES"/*-setup.exe)
wine "$setup" /S
home=$(echo "$WINEPREFIX"/drive_c/users/*/AppData/Local/Programs/Patchbay)
for f in patchbay.exe patchbay.com uninstall.exe LICENSE.txt; do [ -s "$home/$f" ] || fail "$f was not installed"; done
wine reg query 'HKCU\Software\Microsoft\Windows\CurrentVersion\Uninstall\Patchbay' /v DisplayVersion | tr -d '\r' | grep DisplayVersion
find "$WINEPREFIX/drive_c/users" -name Patchbay.lnk | grep -q . || fail "there is no entry in the start menu"
wine "$home/patchbay.com" version

say "desktop: tray, start at login"
exec 3<>"$work/display-number"
Xvfb -displayfd 3 -screen 0 1024x768x24 -nolisten tcp >/dev/null 2>&1 &
screen=$!
for _ in $(seq 100); do [ -s "$work/display-number" ] && break; sleep 0.1; done
DISPLAY=:$(cat "$work/display-number")
export DISPLAY
desk=$work/desk
mkdir -p "$desk"
PATCHBAY_HOME="$(winepath -w "$desk")" PATCHBAY_SERVER_LISTEN="127.0.0.1:$((port + 1))" PATCHBAY_KEYRING=file wine "$home/patchbay.exe" --hidden >"$work/desk.log" 2>&1 &
pids+=($!)
# ask METHOD PATH [JSON]: a call of the management API, as the person's own programs make it.
ask() {
  local info
  info=$(find "$desk" -name instance.json) && [ -n "$info" ] || return 1
  curl -fsS -m 5 -X "$1" -H "Authorization: Bearer $(jq -r .token "$info")" -H 'Content-Type: application/json' ${3:+-d "$3"} "$(jq -r .base "$info")$2"
}
for _ in $(seq 150); do
  if ask GET /api/desktop 2>/dev/null | jq -e '.tray == "registered"' >/dev/null; then up=tray; break; fi
  sleep 0.4
done
[ "$up" = tray ] || { ask GET /api/desktop || true; cat "$work/desk.log"; fail "there is no icon in the tray"; }
run='HKCU\Software\Microsoft\Windows\CurrentVersion\Run'
ask PUT /api/desktop/start-at-login '{"on":true}' | jq -e '.start_at_login.state == "on"' >/dev/null || fail "start at login cannot be switched on"
wine reg query "$run" /v Patchbay | tr -d '\r' | grep -E 'patchbay.exe"? --hidden' || fail "the registry does not start it"
ask PUT /api/desktop/start-at-login '{"on":false}' | jq -e '.start_at_login.state == "off"' >/dev/null || fail "start at login cannot be switched off"
if wine reg query "$run" /v Patchbay >/dev/null 2>&1; then fail "the registry still starts it"; fi
ask PUT /api/desktop/start-at-login '{"on":true}' >/dev/null

say "installer: over the Patchbay that runs, then uninstall; data stays"
PATCHBAY_HOME="$(winepath -w "$desk")" wine "$setup" /S
if kill -0 "${pids[-1]}" 2>/dev/null; then
  for _ in $(seq 50); do kill -0 "${pids[-1]}" 2>/dev/null || break; sleep 0.2; done
  kill -0 "${pids[-1]}" 2>/dev/null && fail "the installer did not quit the Patchbay that runs"
fi
pids=()
kill "$screen"; unset DISPLAY
data=$(dirname "$(dirname "$home")")/patchbay
mkdir -p "$data" && echo keep >"$data/patchbay.db"
wine reg query "$run" /v Patchbay >/dev/null || fail "the installer took back the start at login"
wine "$home/uninstall.exe" /S
gone=''
for _ in $(seq 50); do if [ ! -e "$home/patchbay.exe" ]; then gone=1; break; fi; sleep 0.4; done # it goes on in a copy of itself
[ -n "$gone" ] || fail "the program is still there"
wineserver -w
[ ! -e "$home" ] || fail "left behind: $(ls "$home")"
[ -f "$data/patchbay.db" ] || fail "uninstalling deleted a person's data"
if wine reg query 'HKCU\Software\Microsoft\Windows\CurrentVersion\Uninstall\Patchbay' >/dev/null 2>&1; then fail "Windows still lists it"; fi
if wine reg query "$run" /v Patchbay >/dev/null 2>&1; then fail "it still starts at login"; fi

say "uninstall with /DELETEDATA"
wine "$setup" /S
wine "$home/uninstall.exe" /S /DELETEDATA
wineserver -w
[ ! -e "$data" ] || fail "the data is still there"

say "everything works"
