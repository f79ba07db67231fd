#!/usr/bin/env bash
# Patchbay on a desktop: the tray, the window, a second start, kills, and quitting during a stream. Run by `make desktop`
# inside build/ci/desktop-env.sh, once for each of the stories below. The upstreams are those of `patchbay demo`.
#
#   desktop.sh main | taken | fallback | no-tray | no-bus | locked
set -euo pipefail
story=$1
bin=$PWD/bin/patchbay
unlock=$PWD/bin/unlock # build/ci/unlock
shots=${PATCHBAY_SHOTS:-$PWD/bin/desktop}
mkdir -p "$shots"
work=$(mktemp -d)
export PATCHBAY_HOME=$work/home
mkdir -p "$PATCHBAY_HOME"
pids=()
cleanup() {
  for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

say() { printf 'desktop: %s: %s\n' "$story" "$*"; }
fail() {
  say "FAILED: $*"
  tail -n 40 "$work"/*.log >&2 || true
  "$DESKTOP_ENV" shot "$shots/$story-failed.png" || true
  exit 1
}
now() { date +%s%N; }
since() { echo $((($(now) - $1) / 1000000)); } # milliseconds
# await SECONDS WHAT COMMAND...: until the command succeeds
await() {
  local until=$((SECONDS + $1)) what=$2
  shift 2
  while ! "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$until" ] || fail "it did not happen: $what"
    sleep 0.05
  done
}
info() { jq -re ".$1" "$PATCHBAY_HOME/instance.json"; }
api() { # METHOD PATH [BODY]
  curl -sS --fail-with-body -m 10 -X "$1" "$(info base)$2" -H "Authorization: Bearer $(info token)" -H 'Content-Type: application/json' ${3:+-d "$3"}
}
window() { xdotool search --onlyvisible --name '^Patchbay$' 2>/dev/null | head -1 | grep .; }
no_window() { ! window; }
# gone PID...: none of them is there; one that nobody has waited for yet counts as gone
gone() {
  local p
  for p in "$@"; do [ ! -e "/proc/$p" ] || grep -q '^State:[[:space:]]*Z' "/proc/$p/status" 2>/dev/null || return 1; done
}
family() { # PID: the processes below it
  local p
  for p in $(pgrep -P "$1"); do
    echo "$p"
    family "$p"
  done
}
api_says() { api GET "$1" | jq -e "$2"; }
connected() { # PORT: somebody holds a connection to it, as an open page does
  awk -v port=":$(printf %04X "$1")\$" '$3 ~ port && $4 == "01" {n++} END {exit !n}' /proc/net/tcp
}
# press_until WHAT COMMAND...: presses Return, on the button that has the focus, until the command succeeds. A page that is
# drawn does not hear keys yet on a busy machine.
press_until() {
  local what=$1 until
  shift
  for _ in 1 2 3 4 5; do
    press || true
    until=$((SECONDS + 8))
    while [ "$SECONDS" -lt "$until" ]; do
      "$@" >/dev/null 2>&1 && return
      sleep 0.05
    done
  done
  fail "it did not happen: $what"
}
runs_again() { [ -s "$PATCHBAY_HOME/instance.json" ] && ! gone "$(info pid)" && api GET /api/status; }
ask_openai() { # prints the status of an answer by the account whose key is sealed
  curl -sS -m 20 -o /dev/null -w '%{http_code}' "$(info base)/v1/chat/completions" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' \
    -d '{"model":"openai/sim-both","messages":[{"role":"user","content":"Hello"}]}'
}
sealed_answers() { [ "$(ask_openai)" = 200 ]; }
window_opens() { api POST /api/ui/show '{}' && window; }
no_children() { ! children "$pid"; }
differs() { # PICTURE NAME: takes a picture that shows something else
  painted "$2" && [ "$(compare -metric AE "$1" "$shots/$2.png" null: 2>&1 | cut -d' ' -f1)" != 0 ]
}
base_is_not() { local now; now=$(info base) && [ "$now" != "$1" ]; }
memory() { # of the resident program alone
  awk '/^Rss|^Pss:|^Pss_Anon/ {printf "%s %s kB, ", tolower($1), $2}' "/proc/$pid/smaps_rollup"
}
children() { pgrep -P "$1" -f -- --window; }
tray() { "$DESKTOP_ENV" tray "$@"; }
# listed PATTERN: the menu shows an entry that this matches whole; not_listed: it can be read, and shows none
entries() { tray list >"$work/menu" && awk -F'\t' '$2 != "hidden" {print $3}' "$work/menu"; }
listed() { entries | grep -qxE "$1"; }
# pick PATH: chooses an entry once the menu offers it; the menu follows what happens a moment later
offered() { tray list >"$work/menu" && awk -F'\t' -v p="$1" '$3 == p && $2 != "hidden" && $2 != "disabled" {found = 1} END {exit !found}' "$work/menu"; }
pick() { await 10 "the menu offers '$1'" offered "$1" && tray click "$1"; }
not_listed() { entries >"$work/entries" && ! grep -qxE "$1" "$work/entries"; }
shot() { "$DESKTOP_ENV" shot "$shots/$1.png"; }
# painted NAME: takes a picture; right of the sidebar there must be letters, whose edges have many shades. Boxes of a page that
# is still loading have few.
painted() {
  shot "$1" && [ "$(convert "$shots/$1.png" -crop 1000x640+240+70 +repage -format '%k' info:)" -gt 100 ]
}
# live NAME: the same of Patchbay's page, which has a sidebar; own NAME: of a page of the window itself, which has none
sidebar() { [ "$(convert "$shots/$1.png" -format '%[pixel:p{100,560}]' info:)" != "$(convert "$shots/$1.png" -format '%[pixel:p{700,790}]' info:)" ]; }
live() { painted "$1" && sidebar "$1"; }
own() { painted "$1" && ! sidebar "$1"; }
press() { # Return; a key that is sent to a window, not typed, is not heard by its page
  timeout 10 xdotool search --onlyvisible --name '^Patchbay$' windowactivate --sync && xdotool key Return
}

minimised() { # asks for it again: a window manager passes over what is asked of a window that it is still busy with
  no_window && return
  xdotool windowminimize "$(window)"
  sleep 0.3
  no_window
}

demo() { # simulated upstreams
  HOME=$work "$bin" demo >"$work/demo.out" 2>"$work/demo.log" &
  pids+=($!)
  await 20 'the simulated services start' grep -q '^Stop with' "$work/demo.out"
  local home
  home=$(sed -n 's/.*PATCHBAY_HOME=\([^ ]*\) patchbay accounts.*/\1/p' "$work/demo.out" | head -1)
  grep -E -A1 '^(providers|  (openai|anthropic)):' "$home/config.yaml" | grep -v '^--' >"$work/providers.yaml"
  { printf 'server:\n  listen: 127.0.0.1:0\ncredential_files:\n  enabled: false\nproviders:\n'
    for p in openai anthropic; do
      printf '  %s:\n' "$p"
      sed -n "/^  $p:\$/{n;p;}" "$home/config.yaml"
      printf '    models: [sim-both]\n' # so that the default provider decides
    done
    printf '  home-ollama:\n    kind: ollama\n'
    sed -n '/^  home-ollama:$/,/base_url/{/base_url/p;}' "$home/config.yaml"
  } >"$PATCHBAY_HOME/config.yaml"
}
start() { # ARGS...: the resident program; $pid, and the time to its tray or listener
  local t
  t=$(now)
  "$bin" "$@" >"$work/patchbay.out" 2>"$work/patchbay.log" &
  pid=$!
  pids+=("$pid")
  started=$t
}
listening() { [ -s "$PATCHBAY_HOME/instance.json" ] && api GET /api/status; }
account() { api POST /api/accounts "{\"provider\":\"$1\",\"name\":\"$2\",\"key\":\"$3\"}" >/dev/null; }
ask() { # asks for a model that both providers list, so the default one is asked; prints who answered
  curl -sS --fail -m 20 -D - -o /dev/null "$(info base)/v1/chat/completions" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' \
    -d '{"model":"sim-both","messages":[{"role":"user","content":"Hello"}]}' | tr -d '\r' | sed -n 's/^X-Patchbay-Provider: //Ip'
}
ready() { api GET /api/accounts | jq -e '[.items[] | select(.state == "ready")] | length >= 2' >/dev/null; }

main() {
  demo
  start --hidden # asked to be hidden, but nobody has seen it yet: the window opens
  await 10 'the tray registers' tray wait 1
  say "the tray was there $(since "$started") ms after the start"
  account openai own sk-sim-one
  account anthropic 'my_account & more' sk-ant-sim-one
  key=$(api POST /api/keys '{"name":"desktop"}' | jq -r .key)
  await 40 'the window opens at a first start' window
  await 40 'the page is there' grep -q '"seen":true' "$PATCHBAY_HOME/desktop.json"
  await 20 'both accounts are ready' ready
  await 40 'the page is drawn' live first
  wmctrl -i -c "$(window)"
  await 30 'the window closes' no_window
  await 20 'its process ends' no_children
  say "resident alone: $(memory)load $(cut -d' ' -f1 /proc/loadavg)"

  # the menu chooses who answers
  await 20 'the menu lists the providers' listed 'Default provider/Anthropic · ready'
  pick 'Default provider/Anthropic · ready'
  await 10 'Anthropic is the default' grep -q 'default_provider: anthropic' "$PATCHBAY_HOME/config.yaml"
  [ "$(ask)" = anthropic ] || fail "the request went to '$(ask)', not to the default provider anthropic"
  pick 'Default provider/OpenAI · ready'
  await 10 'OpenAI is the default' grep -q 'default_provider: openai' "$PATCHBAY_HOME/config.yaml"
  [ "$(ask)" = openai ] || fail "the request went to '$(ask)', not to the default provider openai"
  say 'the menu switches the default provider, and the next request goes there'

  # pause, and go on
  pick Pause
  await 10 'it is paused' api_says /api/status .paused
  pick 'Go on'
  await 10 'it goes on' api_says /api/status '.paused | not'

  # start at login, as the system says
  pick 'Start at login'
  await 10 'it starts at login' api_says /api/desktop '.start_at_login.state == "on"'
  desktop-file-validate "$XDG_CONFIG_HOME/autostart/dev.patchbay.Patchbay.desktop" || fail 'the autostart file is not valid'
  pick 'Start at login'
  await 10 'it does not start at login' api_says /api/desktop '.start_at_login.state == "off"'

  # open, and again
  local t
  t=$(now)
  pick 'Open Patchbay'
  await 40 'the window opens again' window
  say "the window was there $(since "$t") ms after the click"
  await 40 'the page is drawn again' live again
  say "the page was drawn $(since "$t") ms after the click"

  # a second start raises it, and ends at once
  await 10 'the window is minimised' minimised
  timeout 10 "$bin" >"$work/second.log" 2>&1 || fail "a second start ended with $?"
  await 20 'a second start raises the window' window
  [ "$(children "$pid" | wc -l)" = 1 ] || fail 'there are several windows'

  # an entry of the menu leads to a place of the page
  cp "$shots/again.png" "$work/before.png"
  pick Activity
  await 20 'the window goes to another page' differs "$work/before.png" activity

  # the port changes under the window
  local old new
  old=$(info base)
  sed -i "s/listen: .*/listen: 127.0.0.1:$(free_port)/" "$PATCHBAY_HOME/config.yaml"
  await 10 'it listens on another port' base_is_not "$old"
  await 40 'the page is at its new address' connected "$(info port)"
  await 40 'the page is drawn at its new address' live moved

  # kill the window: the program goes on, and nothing of the window stays; open again
  local below
  below=$(family "$(children "$pid")")
  kill -9 "$(children "$pid")"
  await 10 'the window is gone' no_window
  # shellcheck disable=SC2086 # several numbers
  await 20 'the processes of the window are gone' gone $below
  api GET /api/status >/dev/null || fail 'the program ended with its window'
  tray activate
  await 40 'a click on the icon opens the window' window

  # kill the program: the window says so, and starts it again when asked; nothing is left of the old one, its lock neither
  local child old_pid
  child=$(children "$pid")
  below=$(family "$child")
  await 40 'the page is drawn before the kill' live before-kill
  kill -9 "$pid"
  await 5 'the program is gone' gone "$pid"
  await 30 'the window says that Patchbay has stopped' own stopped
  old_pid=$pid
  press_until 'the window starts Patchbay again' runs_again
  pid=$(info pid)
  pids+=("$pid")
  say "after a kill the window started it again: $old_pid became $pid"
  # shellcheck disable=SC2086 # several numbers
  await 20 'the old window goes when it runs again' gone "$child" $below
  await 40 'the new window opens' window
  await 10 'its tray registers' tray wait 1

  # quit during a stream: it ends as streams of its protocol do
  key=$(api POST /api/keys '{"name":"stream"}' | jq -r .key)
  curl -sSN -m 30 "$(info base)/v1/messages" -H "x-api-key: $key" -H 'anthropic-version: 2023-06-01' -H 'Content-Type: application/json' \
    -d '{"model":"anthropic/claude-sonnet-4-5","max_tokens":64,"stream":true,"messages":[{"role":"user","content":"[[slow:delay=400ms]] Say a lot of words, please, one after the other, and do not stop."}]}' >"$work/stream.txt" &
  local stream=$!
  await 10 'the stream begins' grep -q content_block_delta "$work/stream.txt"
  t=$(now)
  pick 'Quit Patchbay'
  await 15 'the program ends' gone "$pid"
  local took
  took=$(since "$t")
  wait "$stream" || fail "the stream was cut: curl ended with $?"
  [ "$took" -lt 3000 ] || say "SLOW: it should take less than 3 s; the load is $(cut -d' ' -f1-2 /proc/loadavg)"
  [ "$(grep -cE '^event: (message_stop|error)' "$work/stream.txt")" = 1 ] || { cat "$work/stream.txt"; fail 'the stream has no single end'; }
  await 5 'the window ends too' no_window
  [ ! -e "$PATCHBAY_HOME/instance.json" ] || fail 'the instance file is left'
  say "quit during a stream: over after $took ms, with $(grep -E '^event: (message_stop|error)' "$work/stream.txt")"

  # from now on a hidden start is hidden
  start --hidden
  await 10 'the tray registers' tray wait 1
  await 10 'it listens' listening
  sleep 1
  window && fail 'a hidden start shows a window'
  say "hidden: $(memory)load $(cut -d' ' -f1 /proc/loadavg)"
  "$bin" --quit-running || fail "--quit-running ended with $?"
  gone "$pid" || await 2 'it is gone' gone "$pid"
}

free_port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])' 2>/dev/null || echo $((20000 + RANDOM % 20000)); }

taken() { # another program has the port: a page says who, and another one is a key press away; nothing moves by itself
  local port other
  port=$(free_port)
  PATCHBAY_HOME=$work/other PATCHBAY_KEYRING=file "$bin" serve --listen "127.0.0.1:$port" >"$work/other.out" 2>"$work/other.log" &
  other=$!
  pids+=("$other")
  await 20 'the other program listens' test -s "$work/other/instance.json"
  printf 'server:\n  listen: 127.0.0.1:%s\n' "$port" >"$PATCHBAY_HOME/config.yaml"
  start
  await 40 'the window opens' window
  await 40 'the page about the port is drawn' own taken
  await 10 'the tray registers' tray wait 1
  await 10 'the menu names the port' listed "Port $port is used by patchbay \(process $other\)"
  await 10 'the menu offers another port' listed 'Use port [0-9]+ instead'
  timeout 10 "$bin" || fail "a second start ended with $?"
  "$bin" --quit-running || fail "--quit-running ended with $? while the port is taken"
  await 5 'it is gone' gone "$pid"
  await 10 'its window is gone' no_window
  gone "$other" && fail 'the program that has the port was ended'

  start
  await 40 'the window opens' window
  await 40 'the page about the port is drawn' own taken
  press_until 'it listens on the offered port' api_says /api/status '(.base // "") != ""'
  grep -q "listen: 127.0.0.1:$port\$" "$PATCHBAY_HOME/config.yaml" && fail 'the settings do not say so'
  await 40 "the window shows Patchbay's page" live taken-moved
  await 10 'it is connected' connected "$(info port)"
  "$bin" --quit-running || fail "--quit-running ended with $?"
}

fallback() { # without a window the browser opens; a window that only works without the graphics card is tried so, and that is kept
  local alone=$work/alone link
  mkdir -p "$alone/path"
  cp "$bin" "$alone/patchbay"
  printf '#!/bin/sh\necho "$1" >>%q\n' "$work/opened" >"$alone/path/xdg-open"
  chmod +x "$alone/path/xdg-open"
  local window_program=$bin-window
  bin=$alone/patchbay
  printf 'server:\n  listen: 127.0.0.1:0\n' >"$PATCHBAY_HOME/config.yaml"
  PATH=$alone/path:$PATH start
  await 20 'the browser opens' test -s "$work/opened"
  link=$(head -1 "$work/opened")
  [ "${link%%#*}" = "$(info base)/ui/" ] || fail "it was opened at '$link'"
  curl -sS --fail -m 10 "$(info base)/api/ui/session" -H 'Content-Type: application/json' -d "{\"ticket\":\"${link##*#t=}\"}" >/dev/null || fail 'the link does not open the page'
  cat >"$alone/patchbay-window" <<X
#!/bin/sh
case " \$* " in *' --no-gpu '*) exec '$window_program' "\$@" ;; esac
exit 1
X
  chmod +x "$alone/patchbay-window"
  timeout 10 "$bin" || fail "a second start ended with $?"
  await 40 'the window opens without the graphics card' window
  await 40 'its page is drawn' live no-gpu
  await 10 'that is remembered' grep -q '"no_gpu":true' "$PATCHBAY_HOME/desktop.json"
  [ "$(wc -l <"$work/opened")" = 1 ] || fail 'the browser opened beside the window'
  "$bin" --quit-running || fail "--quit-running ended with $?"
}

no-tray() { # nothing shows the icon: the window is the way in, and that is said once
  dbus-monitor --session "interface='org.freedesktop.Notifications',member='Notify'" >"$work/notes.out" 2>/dev/null &
  pids+=($!)
  await 10 'notifications are watched' test -s "$work/notes.out"
  start
  await 40 'the window opens' window
  await 10 'it is known that there is no tray' api_says /api/status '.tray == "none"'
  await 5 'the person was told' grep -q '"told_no_tray":true' "$PATCHBAY_HOME/desktop.json"
  await 10 'a notification says so' grep -q 'shows no tray icons' "$work/notes.out"
  await 40 'the page is drawn' live no-tray
  wmctrl -i -c "$(window)"
  await 30 'the window closes' no_window
  api GET /api/status >/dev/null || fail 'the program ended with its window'
  timeout 10 "$bin" || fail "a second start ended with $?"
  await 40 'a second start opens the window' window
  api POST /api/quit >/dev/null
  await 15 'it ends' gone "$pid"
  start --hidden
  await 10 'it is known that there is no tray' api_says /api/status '.tray == "none"'
  window && fail 'a hidden start shows a window'
  [ "$(grep -c 'shows no tray icons' "$work/notes.out")" = 1 ] || fail 'it was said again'
  "$bin" --quit-running || fail "--quit-running ended with $?"
}

no-bus() { # no session bus: no tray, everything else
  export DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent PATCHBAY_KEYRING=file
  start
  await 10 'it listens' listening
  await 5 'it is known that there is no tray' api_says /api/status '.tray == "none"'
  await 40 'the window opens' window
  await 40 'the page is drawn' live no-bus
  key=$(api POST /api/keys '{"name":"desktop"}' | jq -r .key)
  [ "$(curl -sS -m 10 -o /dev/null -w '%{http_code}' "$(info base)/v1/models" -H "Authorization: Bearer $key")" = 200 ] || fail 'it does not answer apps'
  kill "$pid"
  await 15 'it ends' gone "$pid"
  await 10 'so does the window' no_window
}

locked() { # the keychain is locked: what needs no secret is served; once it is unlocked everything is
  demo
  start --hidden
  await 10 'it listens' listening
  account openai own sk-sim-one # sealed under a key in the keychain
  "$bin" --quit-running || fail "--quit-running ended with $?"
  "$DESKTOP_ENV" lock || fail 'the keychain cannot be locked'
  start --hidden
  await 10 'the tray registers' tray wait 1
  await 10 'it listens' listening
  api POST /api/accounts '{"provider":"home-ollama","name":"local"}' >/dev/null || fail 'an account without a secret cannot be added'
  await 15 'the menu offers to unlock' listed 'Unlock the keychain …'
  key=$(api POST /api/keys '{"name":"desktop"}' | jq -r .key)
  local code
  code=$(curl -sS -m 20 -o /dev/null -w '%{http_code}' "$(info base)/v1/chat/completions" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' \
    -d '{"model":"home-ollama/qwen3:8b","messages":[{"role":"user","content":"Hello"}]}')
  [ "$code" = 200 ] || fail "the local server is not served while the keychain is locked: $code"
  [ "$(api GET /api/vault | jq -r .state)" = locked ] || fail "the vault does not say that it is locked: $(api GET /api/vault)"
  [ "$(ask_openai)" = 200 ] && fail 'a sealed account answers while the keychain is locked'
  [ "$(api GET /api/accounts | jq -c '[.items[] | {provider, locked: (.locked // false)}] | sort_by(.provider)')" = \
    '[{"provider":"home-ollama","locked":false},{"provider":"openai","locked":true}]' ] || fail "who is locked: $(api GET /api/accounts)"
  await 15 'the page can be had' window_opens
  await 40 'the page is drawn' live locked
  "$unlock" test-password || fail 'the keychain cannot be unlocked'
  pick 'Unlock the keychain …'
  await 20 'it is unlocked' api_says /api/vault '.state != "locked"'
  await 20 'the menu offers it no more' not_listed 'Unlock the keychain …'
  await 20 'the sealed account answers' sealed_answers
  api POST /api/quit >/dev/null
  await 15 'it ends' gone "$pid"
}

"$story"
say ok
