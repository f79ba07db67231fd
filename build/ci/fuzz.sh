#!/usr/bin/env bash
# Runs every fuzz target of the module for a while. A crash is kept as a file under testdata/fuzz and fails the run.
set -euo pipefail
time=${1:-30s}
for pkg in $(go list ./backend/...); do
  for target in $(go test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true); do
    echo "== $pkg $target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$pkg"
  done
done
