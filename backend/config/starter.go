package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Starter is the commented file that a fresh installation may begin with. It changes nothing.
const Starter = `# Settings of Patchbay. Changes take effect when the file is saved.
# Any setting can also be given by an environment variable: server.listen is PATCHBAY_SERVER_LISTEN.
# API keys and logins do not belong here: sign in on the page, or run "patchbay accounts add PROVIDER".
schema_version: 1

# The provider that serves a request when nothing else says which. Empty: the first one with an account.
# default_provider: codex

# server:
#   listen: 127.0.0.1:8390
#   lan: false                    # true lets other machines connect
#   allowed_hosts: []             # further names under which the page is opened
#   allowed_origins: []           # web pages that may call the model endpoints
#   trusted_proxies: []           # reverse proxies whose X-Forwarded-For counts
#   limits:
#     body_bytes: 64MiB
#     header_timeout: 10s
#     read_timeout: 5m
#   ollama_listener:              # a second address for apps that only know Ollama's
#     enabled: false              # a real Ollama may own it
#     listen: 127.0.0.1:11434
#     no_key: false               # true: programs on this machine need no client key there

# providers:
#   deepseek:                     # a provider of your own: a kind and an address
#     kind: openai                # openai, openai-responses, anthropic, gemini, ollama or forward
#     name: DeepSeek
#     base_url: https://api.deepseek.com/v1
#     models: []                  # a fixed list; empty: ask the service
#     priority: 10                # lower comes first where several providers list a model
#   kiro:
#     enabled: true               # a provider that is off by default
#     pool:                       # how its accounts are used
#       strategy: least-loaded    # or round-robin, fill-first, weighted, soonest-reset
#       sticky: on                # conversations stay on an account; session: only those that the app names; off
#       sticky_for: 1h            # after their last request
#       reserve: 0                # percent of each allowance that is left alone
#       tags: []                  # only accounts with one of these
#       checks:
#         every: off              # 30m: look after the accounts by what is free

# routing:
#   aliases:
#     fast: codex/gpt-5-codex-mini
#   chains:                       # what is tried when a provider has no usable account left
#     kiro: [anthropic, deepseek/deepseek-chat]
#   max_attempts: 8

# desktop:
#   language: en                  # en, zh-CN or ja; empty: the system's
#   theme: dark                   # light or dark; empty: the system's
#   notifications:
#     sign_in: true
#     exhausted: true             # no account of the default provider can answer
#     port: true
#     update: true

# prompts:                        # rules for the system text that apps send
#   house:
#     mode: append                # override, append or prepend
#     text: Answer in English.    # or file: /home/me/rules.md, read again when it changes
#     providers: []               # only for these; empty: all
#     keys: []                    # only for these client keys; empty: all
#     order: 1                    # among rules that reach as far; the last has the last word
#   names:
#     replace: {Claude Code: the assistant}
#     replace_regexp: {'(?i)today is [^.]*\.': ''}

# timeouts:
#   connect: 10s
#   first_event: 2m               # until the first sign of an answer
#   one_piece: 10m                # until an answer that is no stream is there; official libraries wait so long
#   idle: 5m                      # silence in the middle of an answer
#   total: off                    # the whole answer
#   keep_alive: 15s               # a sign of life for the app while the model thinks

# media:
#   allowed_hosts: []             # hosts of your network that pictures may be fetched from (nas.lan, 10.0.0.5:8080)

# credential_files:               # logins that other programs of yours keep in files: found, shown, never used unasked
#   enabled: true
#   paths:
#     codex: [~/work/auth.json]   # further files, by provider

# record:
#   retention:
#     days: 30
#     rows: 100000
#     usage_days: 400             # of the counters behind "patchbay usage"
#   bodies:                       # keep requests and answers whole, without credentials
#     enabled: false              # of all requests
#     keys: []                    # or of these client keys
#     providers: []               # or of what these providers serve
#     max_body: 1MiB
#     max_disk: 256MiB
#     days: 7
#   prompt_log:                   # prompts and answers as text
#     to: off                     # off, console or file (prompts.log beside the log)
#     max_size: 10MiB
#     max_files: 3
#     days: 7

# updates:
#   check: false                  # true: look for a newer version once a day; it is offered, never installed unasked
#   url: ''                       # a mirror of the signed list of releases

# log:
#   level: info                   # debug, info, warn or error
#   packages: {}                  # levels of single packages: {route: debug}
#   max_size: 10MiB
#   max_files: 3

# database: postgres://patchbay@db.example.com/patchbay   # password by PATCHBAY_DATABASE or ~/.pgpass
`

// WriteStarter makes the commented file if there is none yet. made says whether it did.
func WriteStarter(path string) (made bool, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return false, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if _, err := f.WriteString(Starter); err != nil {
		f.Close()
		return false, err
	}
	return true, f.Close()
}
