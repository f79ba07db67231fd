#!/usr/bin/env bash
# desktop-env.sh - a throw-away Linux desktop for tests.
#
#   desktop-env.sh --install                 install the Debian/Ubuntu packages (idempotent), then exit
#   desktop-env.sh [options] [--] CMD ARG... run CMD inside a private desktop, exit with CMD's status
#   desktop-env.sh shot FILE.png             (inside) screenshot of the whole screen
#   desktop-env.sh tray list                 (inside) print the tray menu: id, state, path
#   desktop-env.sh tray click "A/B"          (inside) click the menu item with that label path
#   desktop-env.sh tray activate             (inside) left click on the tray icon (Activate)
#   desktop-env.sh tray wait [SECONDS]       (inside) wait until a tray item is registered
#   desktop-env.sh lock                      (inside) lock the login keyring
#
# The desktop: Xvfb, a session bus that starts nothing by itself, xfconfd, xfwm4, xfce4-panel with a
# StatusNotifier host, gnome-keyring with an unlocked login keyring. HOME and every XDG directory are
# temporary. Only processes started here are stopped at the end; nothing is ended by name.
#
# Options:
#   --install              install missing packages before running (needs root or sudo)
#   --screenshot FILE      PNG of the screen: after --shot-after seconds, or when CMD ends if that is sooner
#   --shot-after SECONDS   default 5
#   --keyring MODE         unlocked (default) | locked | none
#   --tray MODE            panel (default) | none (no StatusNotifierWatcher, as plain GNOME)
#   --wm MODE              xfwm4 (default) | none
#   --size WxHxD           default 1280x800x24
#   --timeout SECONDS      end CMD after that time (exit 124); default none
#   --keep-home            keep the real HOME and XDG directories for CMD (the desktop's own stay temporary)
#   --log DIR              keep the logs of the desktop's own programs there
# Exit: CMD's status; 124 timeout; 97 the desktop did not come up; 2 wrong usage.
set -u

PACKAGES_RUN=(xvfb dbus dbus-x11 systemd jq gnome-keyring libsecret-tools xfce4-panel xfconf xfwm4
  xdotool wmctrl x11-utils x11-xserver-utils imagemagick desktop-file-utils libglib2.0-bin
  libgtk-3-0 libwebkit2gtk-4.1-0 fonts-dejavu-core)
PACKAGES_DEV=(build-essential pkg-config libgtk-3-dev libwebkit2gtk-4.1-dev)

say() { printf 'desktop-env: %s\n' "$*" >&2; }

install_packages() {
  local missing=() p
  for p in "${PACKAGES_RUN[@]}" "${PACKAGES_DEV[@]}"; do
    dpkg-query -W -f='${db:Status-Abbrev}' "$p" 2>/dev/null | grep -q '^ii' || missing+=("$p")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  local sudo=''
  [ "$(id -u)" = 0 ] || sudo=sudo
  say "installing: ${missing[*]}"
  $sudo apt-get -o DPkg::Lock::Timeout=300 update -qq &&
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# ---------------------------------------------------------------- commands for use inside the desktop
bus() { busctl --address="$DBUS_SESSION_BUS_ADDRESS" --json=short -- "$@"; }

tray_name() {
  bus call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ListNames 2>/dev/null |
    jq -r '.data[0][] | select(startswith("org.kde.StatusNotifierItem-"))' | tail -1
}

# GetLayout answers only one level the first time it is asked, so ask twice.
tray_json() {
  local n; n=$(tray_name)
  [ -n "$n" ] || { say 'no tray item on the bus'; return 1; }
  bus call "$n" /StatusNotifierItem/menu com.canonical.dbusmenu GetLayout iias 0 -1 0 >/dev/null || return 1
  bus call "$n" /StatusNotifierItem/menu com.canonical.dbusmenu GetLayout iias 0 -1 0 | jq -c '
    def v($n): (.[1][$n].data);
    def walk_menu($p): .[2][]?.data | . as $i
      | {id: .[0], path: ($p + (v("label") // "-")), type: (v("type") // ""),
         enabled: (if .[1] | has("enabled") then v("enabled") else true end),
         visible: (if .[1] | has("visible") then v("visible") else true end),
         toggle: (v("toggle-type") // ""), checked: (v("toggle-state") == 1)},
        ($i | walk_menu($p + (v("label") // "-") + "/"));
    .data[1] | walk_menu("")'
}

tray_cmd() {
  case "${1:-}" in
  list) tray_json | jq -r '[.id, (if .type=="separator" then "sep" elif (.visible|not) then "hidden"
      elif (.enabled|not) then "disabled" elif .toggle=="checkmark" then (if .checked then "[x]" else "[ ]" end)
      else "item" end), .path] | @tsv' ;;
  click)
    local id n; n=$(tray_name)
    id=$(tray_json | jq -r --arg p "$2" 'select(.path==$p and .enabled and .visible) | .id' | head -1)
    [ -n "$id" ] || { say "no enabled tray item '$2'"; return 1; }
    bus call "$n" /StatusNotifierItem/menu com.canonical.dbusmenu Event isvu "$id" clicked i 0 0 >/dev/null ;;
  activate) bus call "$(tray_name)" /StatusNotifierItem org.kde.StatusNotifierItem Activate ii 0 0 >/dev/null ;;
  wait)
    local i; for ((i = 0; i < ${2:-10} * 10; i++)); do [ -n "$(tray_name)" ] && return 0; sleep 0.1; done
    say 'no tray item appeared'; return 1 ;;
  *) say 'tray list | click LABEL | activate | wait [S]'; return 2 ;;
  esac
}

shot() { import -silent -window root "$1"; }

case "${1:-}" in
shot) shot "$2"; exit $? ;;
lock) # the login keyring
  busctl --address="$DBUS_SESSION_BUS_ADDRESS" -- call org.freedesktop.secrets /org/freedesktop/secrets org.freedesktop.Secret.Service Lock ao 1 \
    /org/freedesktop/secrets/collection/login >/dev/null; exit $? ;;
tray) shift; tray_cmd "$@"; exit $? ;;
esac

# ---------------------------------------------------------------- options
DE_SHOT='' DE_SHOT_AFTER=5 DE_KEYRING=unlocked DE_TRAY=panel DE_WM=xfwm4 DE_SIZE=1280x800x24
DE_TIMEOUT='' DE_KEEP='' DE_LOG='' DO_INSTALL=''
while [ $# -gt 0 ]; do
  case "$1" in
  --install) DO_INSTALL=1; shift ;;
  --screenshot) DE_SHOT=$2; shift 2 ;;
  --shot-after) DE_SHOT_AFTER=$2; shift 2 ;;
  --keyring) DE_KEYRING=$2; shift 2 ;;
  --tray) DE_TRAY=$2; shift 2 ;;
  --wm) DE_WM=$2; shift 2 ;;
  --size) DE_SIZE=$2; shift 2 ;;
  --timeout) DE_TIMEOUT=$2; shift 2 ;;
  --keep-home) DE_KEEP=1; shift ;;
  --log) DE_LOG=$2; shift 2 ;;
  -h | --help) awk 'NR > 1 && !/^#/ {exit} NR > 1 {sub(/^# ?/, ""); print}' "$0"; exit 0 ;;
  --) shift; break ;;
  -*) say "unknown option $1"; exit 2 ;;
  *) break ;;
  esac
done
if [ -n "$DO_INSTALL" ]; then install_packages || { say 'installing failed'; exit 97; }; fi
[ $# -gt 0 ] || { [ -n "$DO_INSTALL" ] && exit 0; say 'no command'; exit 2; }
for t in Xvfb dbus-run-session busctl jq import; do
  command -v "$t" >/dev/null || { say "$t is missing: run '$0 --install' first"; exit 97; }
done

# ---------------------------------------------------------------- temporary home
TMP=$(mktemp -d "${TMPDIR:-/tmp}/desktop-env.XXXXXX") || exit 97
LOG=${DE_LOG:-$TMP/log}
mkdir -p "$LOG" "$TMP/run" "$TMP/desk/config" "$TMP/desk/data/keyrings" "$TMP/desk/cache" && chmod 700 "$TMP/run"
DESK=(env XDG_CONFIG_HOME="$TMP/desk/config" XDG_DATA_HOME="$TMP/desk/data" XDG_CACHE_HOME="$TMP/desk/cache")
case "$DE_SHOT" in '' | /*) ;; *) DE_SHOT=$PWD/$DE_SHOT ;; esac
PIDS=()
stop_pids() { # newest first; TERM, then KILL what is left after 2 s
  local i p
  for ((i = ${#PIDS[@]} - 1; i >= 0; i--)); do kill "${PIDS[i]}" 2>/dev/null; done
  for ((i = 0; i < 20; i++)); do
    local alive=''
    for p in "${PIDS[@]}"; do kill -0 "$p" 2>/dev/null && alive=1; done
    [ -n "$alive" ] || break
    sleep 0.1
  done
  for p in "${PIDS[@]}"; do kill -KILL "$p" 2>/dev/null; done
  PIDS=()
}
cleanup() { stop_pids; rm -rf "$TMP"; }
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

# real tool caches stay usable although HOME is temporary
if [ -z "$DE_KEEP" ]; then
  if command -v go >/dev/null; then
    export GOPATH=$(go env GOPATH) GOCACHE=$(go env GOCACHE) GOMODCACHE=$(go env GOMODCACHE)
  fi
  export npm_config_cache=${npm_config_cache:-$HOME/.npm}
  export HOME=$TMP/home XDG_CONFIG_HOME=$TMP/home/.config XDG_DATA_HOME=$TMP/home/.local/share \
    XDG_CACHE_HOME=$TMP/home/.cache XDG_STATE_HOME=$TMP/home/.local/state
  mkdir -p "$XDG_CONFIG_HOME" "$XDG_DATA_HOME/keyrings" "$XDG_CACHE_HOME" "$XDG_STATE_HOME"
fi
export XDG_RUNTIME_DIR=$TMP/run XDG_SESSION_TYPE=x11 XDG_CURRENT_DESKTOP=XFCE GDK_BACKEND=x11 \
  NO_AT_BRIDGE=1 GTK_A11Y=none GSETTINGS_BACKEND=memory GTK_USE_PORTAL=0 LIBGL_ALWAYS_SOFTWARE=1
unset WAYLAND_DISPLAY DBUS_SESSION_BUS_ADDRESS SESSION_MANAGER GNOME_KEYRING_CONTROL

# ---------------------------------------------------------------- X server
Xvfb -displayfd 3 -screen 0 "$DE_SIZE" -nolisten tcp -noreset 3>"$TMP/display" >"$LOG/xvfb.log" 2>&1 &
PIDS+=($!)
for _ in $(seq 100); do [ -s "$TMP/display" ] && break; sleep 0.05; done
[ -s "$TMP/display" ] || { say 'Xvfb did not start'; cat "$LOG/xvfb.log" >&2; exit 97; }
export DISPLAY=:$(cat "$TMP/display")

# ---------------------------------------------------------------- session bus without activation
cat >"$TMP/bus.conf" <<'X'
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type><keep_umask/><listen>unix:tmpdir=/tmp</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
  </policy>
</busconfig>
X
dbus-daemon --config-file="$TMP/bus.conf" --nofork --print-address=4 4>"$TMP/bus" >"$LOG/dbus.log" 2>&1 &
PIDS+=($!)
for _ in $(seq 100); do [ -s "$TMP/bus" ] && break; sleep 0.05; done
[ -s "$TMP/bus" ] || { say 'dbus-daemon did not start'; exit 97; }
export DBUS_SESSION_BUS_ADDRESS=$(cat "$TMP/bus")

has_name() { bus call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus NameHasOwner s "$1" 2>/dev/null | grep -q true; }
wait_name() {
  for _ in $(seq 150); do has_name "$1" && return 0; sleep 0.1; done
  say "$1 did not appear on the bus"; tail -n 5 "$LOG"/*.log >&2; exit 97
}

# ---------------------------------------------------------------- keyring
if [ "$DE_KEYRING" != none ]; then
  printf 'test-password' | "${DESK[@]}" gnome-keyring-daemon --unlock --foreground --components=secrets \
    --control-directory="$TMP/run/keyring" >"$LOG/keyring.log" 2>&1 &
  PIDS+=($!)
  wait_name org.freedesktop.secrets
  for _ in $(seq 50); do
    bus get-property org.freedesktop.secrets /org/freedesktop/secrets/collection/login \
      org.freedesktop.Secret.Collection Locked 2>/dev/null | grep -q false && break
    sleep 0.1
  done
  if [ "$DE_KEYRING" = locked ]; then
    bus call org.freedesktop.secrets /org/freedesktop/secrets org.freedesktop.Secret.Service Lock ao 1 \
      /org/freedesktop/secrets/collection/login >/dev/null
  fi
fi

# ---------------------------------------------------------------- window manager and tray host
if [ "$DE_WM" = xfwm4 ] || [ "$DE_TRAY" = panel ]; then
  XFCONFD=$(ls /usr/lib/*/xfce4/xfconf/xfconfd /usr/libexec/xfce4/xfconf/xfconfd /usr/lib/xfce4/xfconf/xfconfd 2>/dev/null | head -1)
  mkdir -p "$TMP/desk/config/xfce4/xfconf/xfce-perchannel-xml"
  cat >"$TMP/desk/config/xfce4/xfconf/xfce-perchannel-xml/xfce4-panel.xml" <<'X'
<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array"><value type="int" value="1"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="length" type="uint" value="100"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="icon-size" type="uint" value="22"/>
      <property name="size" type="uint" value="30"/>
      <property name="plugin-ids" type="array"><value type="int" value="1"/><value type="int" value="2"/><value type="int" value="3"/></property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="tasklist"/>
    <property name="plugin-2" type="string" value="separator"><property name="expand" type="bool" value="true"/><property name="style" type="uint" value="0"/></property>
    <property name="plugin-3" type="string" value="systray"><property name="square-icons" type="bool" value="true"/></property>
  </property>
</channel>
X
  "${DESK[@]}" "$XFCONFD" >"$LOG/xfconfd.log" 2>&1 & PIDS+=($!)
  wait_name org.xfce.Xfconf
fi
xsetroot -solid '#3a6ea5' 2>/dev/null
if [ "$DE_WM" = xfwm4 ]; then
  "${DESK[@]}" xfwm4 --compositor=off --sm-client-disable >"$LOG/xfwm4.log" 2>&1 & PIDS+=($!)
fi
if [ "$DE_TRAY" = panel ]; then
  "${DESK[@]}" xfce4-panel --disable-wm-check --sm-client-disable >"$LOG/panel.log" 2>&1 & PIDS+=($!)
  wait_name org.kde.StatusNotifierWatcher
fi

# ---------------------------------------------------------------- the command
export DESKTOP_ENV=$(readlink -f "$0") DESKTOP_ENV_LOG=$LOG
setsid "$@" &
CMD=$!
(
  [ -n "$DE_SHOT" ] || exit 0
  for ((i = 0; i < DE_SHOT_AFTER * 10; i++)); do kill -0 "$CMD" 2>/dev/null || break; sleep 0.1; done
  shot "$DE_SHOT" || say 'screenshot failed'
) &
SHOT=$!
WATCH=''
if [ -n "$DE_TIMEOUT" ]; then
  (
    for ((i = 0; i < DE_TIMEOUT * 10; i++)); do kill -0 "$CMD" 2>/dev/null || exit 0; sleep 0.1; done
    : >"$TMP/timeout"; kill -- -"$CMD" 2>/dev/null; sleep 3; kill -KILL -- -"$CMD" 2>/dev/null
  ) &
  WATCH=$!
fi
trap 'kill -- -"$CMD" 2>/dev/null; exit 130' INT TERM HUP
wait "$CMD"; RC=$?
wait "$SHOT"
kill -- -"$CMD" 2>/dev/null # what CMD left in its own process group
[ -n "$WATCH" ] && { kill "$WATCH" 2>/dev/null; wait "$WATCH" 2>/dev/null; }
[ -e "$TMP/timeout" ] && RC=124
exit "$RC"
