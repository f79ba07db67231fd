#!/usr/bin/env bash
# Patchbay on a desktop: the tray, the window, a second start, kills, and quitting during a stream. Run by `make desktop`
# inside build/ci/desktop-env.sh, once for each of the stories below. The upstreams are those of `patchbay demo`.
#
#   desktop.sh main | no-tray | no-bus | locked
set -euo pipefail
story=$1
bin=$PWD/bin/patchbay
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
info() { jq -r ".$1" "$PATCHBAY_HOME/instance.json"; }
api() { # METHOD PATH [BODY]
  curl -sS --fail-with-body -m 10 -X "$1" "$(info base)$2" -H "Authorization: Bearer $(info token)" -H 'Content-Type: application/json' ${3:+-d "$3"}
}
window() { xdotool search --onlyvisible --name '^Patchbay$' 2>/dev/null | head -1 | grep .; }
no_window() { ! window; }
gone() { ! kill -0 "$1" 2>/dev/null; }
children() { pgrep -P "$1" -f -- --window; }
tray() { "$DESKTOP_ENV" tray "$@"; }
listed() { tray list | cut -f3 | grep -qxF "$1"; }
shot() { "$DESKTOP_ENV" shot "$shots/$1.png"; }
# painted NAME: takes a picture; below the bars of the panel and the window there must be more than one colour, for letters
painted() {
  shot "$1" && [ "$(convert "$shots/$1.png" -crop 1200x600+40+80 +repage -format '%k' info:)" -gt 12 ]
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
      printf '    models: [both]\n' # so that the default provider decides
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
ask() { # asks for a model that both providers list, so the default one is asked; prints who was
  curl -sS -m 20 -D - -o /dev/null "$(info base)/v1/chat/completions" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' \
    -d '{"model":"both","messages":[{"role":"user","content":"Hello"}]}' | tr -d '\r' | sed -n 's/^X-Patchbay-Provider: //Ip'
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
  await 40 'the page is drawn' painted first
  wmctrl -i -c "$(window)"
  await 30 'the window closes' no_window
  await 20 'its process ends' bash -c "! pgrep -P $pid -f -- --window"
  say "resident alone: $(awk '/^VmRSS/ {print $2}' "/proc/$pid/status") kB"

  # the menu chooses who answers
  await 20 'the menu lists the providers' listed 'Default provider/Anthropic · ready'
  tray click 'Default provider/Anthropic · ready'
  await 10 'Anthropic is the default' bash -c "grep -q 'default_provider: anthropic' '$PATCHBAY_HOME/config.yaml'"
  [ "$(ask)" = anthropic ] || fail "the request went to '$(ask)', not to the default provider anthropic"
  tray click 'Default provider/OpenAI · ready'
  await 10 'OpenAI is the default' bash -c "grep -q 'default_provider: openai' '$PATCHBAY_HOME/config.yaml'"
  [ "$(ask)" = openai ] || fail "the request went to '$(ask)', not to the default provider openai"
  say 'the menu switches the default provider, and the next request goes there'

  # pause, and go on
  tray click Pause
  await 10 'it is paused' bash -c "$(declare -f info api); api GET /api/status | jq -e .paused"
  tray click 'Go on'
  await 10 'it goes on' bash -c "$(declare -f info api); api GET /api/status | jq -e '.paused | not'"

  # start at login, as the system says
  tray click 'Start at login'
  await 10 'it starts at login' bash -c "$(declare -f info api); api GET /api/desktop | jq -e '.start_at_login.state == \"on\"'"
  desktop-file-validate "$XDG_CONFIG_HOME/autostart/dev.patchbay.Patchbay.desktop" || fail 'the autostart file is not valid'
  tray click 'Start at login'
  await 10 'it does not start at login' bash -c "$(declare -f info api); api GET /api/desktop | jq -e '.start_at_login.state == \"off\"'"

  # open, and again
  local t
  t=$(now)
  tray click 'Open Patchbay'
  await 40 'the window opens again' window
  await 40 'the page is drawn again' painted again

  # a second start raises it, and ends at once
  xdotool windowminimize "$(xdotool search --name '^Patchbay$' | head -1)" || true
  await 5 'the window is minimised' no_window
  timeout 10 "$bin" >"$work/second.log" 2>&1 || fail "a second start ended with $?"
  await 20 'a second start raises the window' window
  [ "$(children "$pid" | wc -l)" = 1 ] || fail 'there are several windows'

  # the port changes under the window
  local old new
  old=$(info base)
  sed -i "s/listen: .*/listen: 127.0.0.1:$(free_port)/" "$PATCHBAY_HOME/config.yaml"
  await 10 'it listens on another port' bash -c "$(declare -f info); [ \"\$(info base)\" != '$old' ]"
  sleep 2 # for the old picture to go
  await 40 'the page is drawn at its new address' painted moved

  # kill the window: the program goes on; open again
  kill -9 "$(children "$pid")"
  await 5 'the window is gone' no_window
  api GET /api/status >/dev/null || fail 'the program ended with its window'
  tray activate
  await 40 'a click on the icon opens the window' window

  # kill the program: the window says so, and goes when it runs again; no lock is left
  local child
  child=$(children "$pid")
  kill -9 "$pid"
  await 5 'the program is gone' gone "$pid"
  sleep 2 # for the old picture to go
  await 30 'the window says that Patchbay has stopped' painted stopped
  start
  await 10 'it starts again after a kill' listening
  await 20 'the old window goes when it runs again' gone "$child"
  await 40 'the window opens' window
  [ -z "$(pgrep -f 'WebKit(Network|Web)Process' | while read -r p; do ppid=$(ps -o ppid= -p "$p" | tr -d ' '); [ "$ppid" = 1 ] && echo "$p"; done)" ] || fail 'processes of the window are left'

  # quit during a stream: it ends as streams of its protocol do
  key=$(api POST /api/keys '{"name":"stream"}' | jq -r .key)
  curl -sSN -m 30 "$(info base)/v1/messages" -H "x-api-key: $key" -H 'anthropic-version: 2023-06-01' -H 'Content-Type: application/json' \
    -d '{"model":"anthropic/claude-sonnet-4-5","max_tokens":64,"stream":true,"messages":[{"role":"user","content":"[[slow:delay=400ms]] Say a lot of words, please, one after the other, and do not stop."}]}' >"$work/stream.txt" &
  local stream=$!
  await 10 'the stream begins' grep -q content_block_delta "$work/stream.txt"
  t=$(now)
  tray click 'Quit Patchbay'
  await 15 'the program ends' gone "$pid"
  local took
  took=$(since "$t")
  wait "$stream" || fail "the stream was cut: curl ended with $?"
  [ "$(grep -cE '^event: (message_stop|error)' "$work/stream.txt")" = 1 ] || { cat "$work/stream.txt"; fail 'the stream has no single end'; }
  [ "$took" -le 5000 ] || fail "quitting took $took ms"
  await 5 'the window ends too' no_window
  [ ! -e "$PATCHBAY_HOME/instance.json" ] || fail 'the instance file is left'
  say "quit during a stream: over after $took ms, with $(grep -E '^event: (message_stop|error)' "$work/stream.txt")"

  # from now on a hidden start is hidden
  start --hidden
  await 10 'the tray registers' tray wait 1
  await 10 'it listens' listening
  sleep 1
  window && fail 'a hidden start shows a window'
  say "hidden: $(awk '/^VmRSS/ {print $2}' "/proc/$pid/status") kB"
  "$bin" --quit-running || fail "--quit-running ended with $?"
  gone "$pid" || await 2 'it is gone' gone "$pid"
}

free_port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])' 2>/dev/null || echo $((20000 + RANDOM % 20000)); }

no-tray() { # nothing shows the icon: the window is the way in, and that is said once
  start
  await 40 'the window opens' window
  await 10 'it is known that there is no tray' bash -c "$(declare -f info api); api GET /api/status | jq -e '.tray == \"none\"'"
  await 5 'the person was told' grep -q '"told_no_tray":true' "$PATCHBAY_HOME/desktop.json"
  sleep 1
  shot no-tray
  wmctrl -i -c "$(window)"
  await 30 'the window closes' no_window
  api GET /api/status >/dev/null || fail 'the program ended with its window'
  timeout 10 "$bin" || fail "a second start ended with $?"
  await 40 'a second start opens the window' window
  api POST /api/quit >/dev/null
  await 15 'it ends' gone "$pid"
}

no-bus() { # no session bus: no tray, everything else
  export DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent PATCHBAY_KEYRING=file
  start
  await 10 'it listens' listening
  await 5 'it is known that there is no tray' bash -c "$(declare -f info api); api GET /api/status | jq -e '.tray == \"none\"'"
  await 40 'the window opens' window
  kill "$pid"
  await 15 'it ends' gone "$pid"
}

locked() { # the keychain is locked: what needs no secret is served (unlocking is tried by make keyring)
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
  shot locked
  api POST /api/quit >/dev/null
  await 15 'it ends' gone "$pid"
}

"$story"
say ok
