#!/usr/bin/env bash
# The Windows program and its installer under Wine: serves and answers, keeps the key of its secrets in the credential
# manager, installs and uninstalls silently, keeps data unless told otherwise. Not covered: the window (WebView2), and
# whatever Wine does differently. Debian's packages wine, wine64, gcc-mingw-w64-x86-64, nsis.
#   PACKAGES=DIR takes packages that are there instead of building
set -euo pipefail
cd "$(dirname "$0")/../.."
for c in wine x86_64-w64-mingw32-gcc curl jq unzip; do
  command -v "$c" >/dev/null || { echo "$c is missing: apt-get install wine wine64 gcc-mingw-w64-x86-64 nsis curl jq unzip" >&2; exit 1; }
done
work=$(mktemp -d /var/tmp/patchbay-wine.XXXXXX)
export WINEPREFIX=$work/prefix WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml="
unset DISPLAY
pids=()
finish() {
  wineserver -k 2>/dev/null || true # of this prefix only
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

say "installer: over itself, then uninstall; data stays"
wine "$setup" /S
data=$(dirname "$(dirname "$home")")/patchbay
mkdir -p "$data" && echo keep >"$data/patchbay.db"
wine reg add 'HKCU\Software\Microsoft\Windows\CurrentVersion\Run' /v Patchbay /d 'x' /f >/dev/null
wine "$home/uninstall.exe" /S
gone=''
for _ in $(seq 50); do if [ ! -e "$home/patchbay.exe" ]; then gone=1; break; fi; sleep 0.4; done # it goes on in a copy of itself
[ -n "$gone" ] || fail "the program is still there"
wineserver -w
[ ! -e "$home" ] || fail "left behind: $(ls "$home")"
[ -f "$data/patchbay.db" ] || fail "uninstalling deleted a person's data"
if wine reg query 'HKCU\Software\Microsoft\Windows\CurrentVersion\Uninstall\Patchbay' >/dev/null 2>&1; then fail "Windows still lists it"; fi
if wine reg query 'HKCU\Software\Microsoft\Windows\CurrentVersion\Run' /v Patchbay >/dev/null 2>&1; then fail "it still starts at login"; fi

say "uninstall with /DELETEDATA"
wine "$setup" /S
wine "$home/uninstall.exe" /S /DELETEDATA
wineserver -w
[ ! -e "$data" ] || fail "the data is still there"

say "everything works"
