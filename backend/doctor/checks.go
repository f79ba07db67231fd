package doctor

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// params are what stands in the sentences of a finding.
type params = map[string]string

func config(f Facts, _ System) []Finding {
	if len(f.ConfigProblems) == 0 {
		return []Finding{{ID: "config", Level: OK, Code: "config.ok", Title: "The settings are readable", Detail: f.ConfigPath}}
	}
	return []Finding{{
		ID: "config", Level: Problem, Code: "config.broken", Params: params{"path": f.ConfigPath}, Title: "The settings have mistakes",
		Detail: strings.Join(f.ConfigProblems, "\n"),
		Fix:    "Correct " + f.ConfigPath + "; until then the last good settings, or the defaults, are in force.",
	}}
}

// port says whether the address of the settings can be had, and else who has it.
func port(f Facts, s System) []Finding {
	if f.Listen == "" {
		return nil
	}
	if f.Listening {
		return []Finding{{ID: "port", Level: OK, Code: "port.on", Params: params{"address": f.Listen}, Title: "Patchbay listens on " + f.Listen}}
	}
	_, p, err := net.SplitHostPort(f.Listen)
	number, perr := strconv.ParseUint(p, 10, 16)
	if err != nil || perr != nil {
		return []Finding{{
			ID: "port", Level: Problem, Code: "port.bad", Title: "The address to listen on makes no sense", Detail: f.Listen,
			Fix: "Set server.listen to an address and a port, for example 127.0.0.1:8390.",
		}}
	}
	err = s.Free(f.Listen)
	if err == nil {
		return []Finding{{
			ID: "port", Level: OK, Code: "port.free", Params: params{"address": f.Listen},
			Title: "The address " + f.Listen + " is free", Detail: "Patchbay is not running.", Fix: "Start it with `patchbay serve`.",
		}}
	}
	code, named := "port.taken_unknown", params{"address": f.Listen, "error": err.Error()}
	detail := "Who holds it could not be found out: " + err.Error()
	if h, ok := s.Holder(uint16(number)); ok {
		code, named = "port.taken", params{"address": f.Listen, "holder": h.String()}
		detail = "It is held by " + h.String() + "."
	}
	return []Finding{{
		ID: "port", Level: Problem, Code: code, Params: named, Title: "The address " + f.Listen + " is taken", Detail: detail,
		Fix: "Stop that program, or choose another port with `patchbay serve --listen 127.0.0.1:8391` or server.listen in the settings.",
	}}
}

// second says whether the Ollama listener has its address. Another program may well own it: a real Ollama.
func second(f Facts, s System) []Finding {
	o := f.Second
	if o.Listen == "" {
		return nil
	}
	err := o.Err
	if !o.Running {
		err = s.Free(o.Listen)
	}
	if err == nil {
		code, detail := "", ""
		if o.NoKey {
			code, detail = "_no_key", "Every program on this machine may use it without a client key (server.ollama_listener.no_key)."
		}
		on, title := "ollama.on", "The Ollama listener is on: "+o.Listen
		if !o.Running {
			on, title = "ollama.free", "The address of the Ollama listener is free: "+o.Listen
		}
		return []Finding{{ID: "ollama_listener", Level: OK, Code: on + code, Params: params{"address": o.Listen}, Title: title, Detail: detail}}
	}
	return []Finding{{
		ID: "ollama_listener", Level: Warn, Code: "ollama.off", Title: "The Ollama listener is not on, although the settings ask for it", Detail: err.Error(),
		Fix: "If a real Ollama runs here, leave the address to it and set server.ollama_listener.enabled to false, or choose another address in server.ollama_listener.listen.",
	}}
}

func lan(f Facts, _ System) []Finding {
	if !f.LAN {
		return nil
	}
	return []Finding{{
		ID: "lan", Level: Warn, Code: "lan.on", Title: "Other machines on the network may call Patchbay",
		Detail: "server.lan is on. Every call still needs a client key, but traffic is not encrypted.",
		Fix:    "Switch server.lan off if only this machine needs Patchbay.",
	}}
}

func database(f Facts, _ System) []Finding {
	d := f.Database
	switch {
	case d.Err != nil:
		return []Finding{{
			ID: "database", Level: Problem, Code: "database.broken", Title: "The database cannot be opened", Detail: fmt.Sprintf("%s: %v", d.Path, d.Err),
			Fix: "Check that the folder exists, is writable and has free space.",
		}}
	case d.SetAside != "":
		return []Finding{{
			ID: "database", Level: Warn, Code: "database.aside", Title: "An unreadable database was kept aside", Detail: d.SetAside,
			Fix: "Restore the file from a backup, or add your accounts again; nothing was deleted.",
		}}
	case d.Path == "":
		return nil
	}
	return []Finding{{ID: "database", Level: OK, Code: "database.ok", Title: "The database is open", Detail: d.Path}}
}

// vault says whether secrets can be read and how well their key is kept.
func vault(f Facts, _ System) []Finding {
	if f.Vault.State == "" {
		return nil
	}
	return []Finding{VaultFinding(f.Vault)}
}

// VaultFinding says how a vault stands and how to mend it.
func VaultFinding(v Vault) Finding {
	out := Finding{ID: "vault", Level: Problem, Code: "vault." + v.Source, Params: params{"path": v.Path, "why": reason("", v.Err)}}
	switch v.State {
	case VaultLocked:
		out.Code = "vault.locked_" + v.Source
		out.Title, out.Detail = "The secrets are locked", reason("The key is in "+VaultSource(v)+", which cannot be opened now.", v.Err)
		out.Fix = map[string]string{
			VaultKeychain: "Unlock the keychain of this computer, for example by `patchbay vault unlock`; Patchbay also looks by itself. ",
			VaultEnv:      "Start Patchbay with PATCHBAY_VAULT_KEY set to the key. ",
			VaultFile:     "Mend what the line above says. ",
		}[v.Source] + "What needs no secret goes on working."
		return out
	case VaultLost:
		out.Code = "vault.lost_" + v.Source
		out.Title = "The key that opens the secrets is missing or wrong"
		out.Detail = reason("It should be in "+VaultSource(v)+". The sealed secrets are kept.", v.Err)
		out.Fix = "Bring the old key back. If it is gone for good: `patchbay vault renew` begins with a new key, then enter the keys of your accounts again, or `patchbay import` an export."
		return out
	}
	out.Level = Warn
	switch v.Source {
	case VaultFile:
		out.Title, out.Detail = "The secrets are protected by a key file only", v.Path
		out.Fix = "Whoever can read this file and the database can read the secrets: it is weaker than the keychain of the operating system. " +
			"Where there is one, `patchbay vault move --to os` changes to it. Else keep the file out of backups and shared folders, or hand the key in by PATCHBAY_VAULT_KEY."
	case VaultMemory:
		out.Title, out.Detail = "The secrets are in memory only", "They are gone when Patchbay ends."
	default:
		out.Level, out.Title, out.Detail = OK, "The secrets are open", "Their key comes from "+VaultSource(v)+"."
	}
	return out
}

// VaultSource names the place of the key.
func VaultSource(v Vault) string {
	switch v.Source {
	case VaultKeychain:
		return "the keychain of the operating system"
	case VaultFile:
		return "the key file " + v.Path
	case VaultEnv:
		return "the environment variable PATCHBAY_VAULT_KEY"
	case VaultMemory:
		return "memory"
	}
	return "a place that is not chosen yet"
}

func reason(text string, err error) string {
	if err == nil {
		return text
	}
	return text + " " + err.Error()
}

func clientKeys(f Facts, _ System) []Finding {
	if f.ClientKeys == 0 {
		return []Finding{{
			ID: "client_keys", Level: Problem, Code: "client_keys.none", Title: "There is no client key", Detail: "Apps need a key to call Patchbay.",
			Fix: "Make one: `patchbay keys add NAME`.",
		}}
	}
	n := strconv.Itoa(f.ClientKeys)
	return []Finding{{ID: "client_keys", Level: OK, Code: "client_keys.ok", Params: params{"n": n}, Title: "Client keys: " + n}}
}

const addAccount = "Add one: `patchbay accounts add PROVIDER`; `patchbay providers` lists the providers."

func accounts(f Facts, _ System) []Finding {
	if len(f.Accounts) == 0 {
		return []Finding{{
			ID: "accounts", Level: Problem, Code: "accounts.none",
			Title: "There is no account yet", Detail: "Patchbay has nothing to answer with.", Fix: addAccount,
		}}
	}
	var out []Finding
	usable := 0
	for _, a := range f.Accounts {
		if a.Enabled && !a.NeedsPerson {
			usable++
		}
		if a.Enabled && a.NeedsPerson {
			out = append(out, Finding{
				ID: "account.needs_person", Level: Problem, Code: "account.needs_person",
				Params: params{
					"id": a.ID, "state": a.State, "account": a.Provider + "/" + a.Name, "provider": a.Provider,
					"name": quote(a.Name), "quoted": quote(a.Provider + "/" + a.Name),
				},
				Title:  "The account " + a.Provider + "/" + a.Name + " needs you",
				Detail: cmp.Or(a.Reason, a.State),
				Fix:    "Enter its key again with `patchbay accounts add " + a.Provider + " --name " + quote(a.Name) + "`, or take it out with `patchbay accounts disable " + quote(a.Provider+"/"+a.Name) + "`.",
			})
		}
	}
	if usable == 0 {
		return append(out, Finding{
			ID: "accounts", Level: Problem, Code: "accounts.unusable", Params: params{"n": strconv.Itoa(len(f.Accounts))},
			Title: "No account can be used now", Detail: fmt.Sprintf("%d accounts, none of them enabled and healthy.", len(f.Accounts)),
			Fix: "`patchbay accounts` says why; `patchbay accounts enable NAME` turns one on.",
		})
	}
	return append(out, Finding{
		ID: "accounts", Level: OK, Code: "accounts.ok", Params: params{"usable": strconv.Itoa(usable), "n": strconv.Itoa(len(f.Accounts))},
		Title: fmt.Sprintf("Accounts that can be used: %d of %d", usable, len(f.Accounts)),
	})
}

// quote puts a name with blanks into quotes, so that a line can be copied.
func quote(name string) string {
	if name != "" && !strings.ContainsAny(name, " \t'\"$`\\") {
		return name
	}
	return strconv.Quote(name)
}

func defaultProvider(f Facts, _ System) []Finding {
	if f.Default == "" {
		if len(f.Accounts) == 0 {
			return nil // the missing account is the thing to say
		}
		return []Finding{{
			ID: "default_provider", Level: OK, Code: "default.none", Title: "No default provider is set", Detail: "A request goes to the provider that lists its model.",
			Fix: "Choose one with `patchbay providers default ID` if you want unknown models to go there.",
		}}
	}
	known := false
	for _, p := range f.Providers {
		known = known || p.ID == f.Default
	}
	if !known {
		return []Finding{{
			ID: "default_provider", Level: Problem, Code: "default.unknown", Params: params{"provider": f.Default},
			Title: "The default provider " + f.Default + " is not known",
			Fix:   "`patchbay providers` lists the providers; choose one with `patchbay providers default ID`.",
		}}
	}
	for _, a := range f.Accounts {
		if a.Provider == f.Default && a.Enabled {
			return []Finding{{
				ID: "default_provider", Level: OK, Code: "default.ok", Params: params{"provider": f.Default}, Title: "The default provider is " + f.Default,
			}}
		}
	}
	return []Finding{{
		ID: "default_provider", Level: Problem, Code: "default.empty", Params: params{"provider": f.Default},
		Title: "The default provider " + f.Default + " has no usable account",
		Fix:   "Add one with `patchbay accounts add " + f.Default + "`, or choose another provider with `patchbay providers default ID`.",
	}}
}

// loops finds providers that point back at Patchbay: a request to one of them would circle until it times out.
func loops(f Facts, s System) []Finding {
	var out []Finding
	for _, p := range f.Providers {
		if Loops(p.BaseURL, f.Listen, s.Local) || f.Second.Listen != "" && Loops(p.BaseURL, f.Second.Listen, s.Local) && f.Second.Err == nil {
			out = append(out, Finding{
				ID: "loop", Level: Problem, Code: "loop.found", Params: params{"provider": p.ID}, Title: "The provider " + p.ID + " points at Patchbay itself", Detail: p.BaseURL,
				Fix: "Set providers." + p.ID + ".base_url to the address of the service.",
			})
		}
	}
	return out
}

// Loops reports whether a base URL is Patchbay's own address: the same port on this machine. A nil local means the real
// machine.
func Loops(baseURL, listen string, local func(host string) bool) bool {
	if local == nil {
		local = ThisMachine().Local
	}
	u, err := url.Parse(baseURL)
	_, port, lerr := net.SplitHostPort(listen)
	if err != nil || lerr != nil || u.Host == "" {
		return false
	}
	has := u.Port()
	if has == "" {
		has = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return has == port && local(u.Hostname())
}

// proxyNames are the variables that make programs use a proxy; the lower-case forms count as well.
var proxyNames = []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}

// proxyEnv names proxy variables without their values: they may hold a password.
func proxyEnv(_ Facts, s System) []Finding {
	var seen []string
	for _, n := range proxyNames {
		for _, name := range []string{n, strings.ToLower(n)} {
			if s.Getenv(name) != "" {
				seen = append(seen, name)
			}
		}
	}
	if len(seen) == 0 {
		return nil
	}
	return []Finding{{
		ID: "proxy_env", Level: Warn, Code: "proxy_env.set", Params: params{"names": strings.Join(seen, ", ")}, Title: "Proxy variables are set: " + strings.Join(seen, ", "),
		Detail: "Apps with these variables may send calls to Patchbay through the proxy, where they fail.",
		Fix:    "Set NO_PROXY=127.0.0.1,localhost for the apps. For Patchbay's own way out, set a proxy per account.",
	}}
}

// prompts finds rules for system text that go without their text, or with an old one.
func prompts(f Facts, _ System) []Finding {
	var out []Finding
	for _, p := range f.Prompts {
		code, what := "prompt.missing", "Requests go without its text"
		if p.Held {
			code, what = "prompt.held", "What the file last held is still used"
		}
		out = append(out, Finding{
			ID: "prompt.file", Level: Problem, Code: code, Params: params{"name": p.Name, "file": p.File, "problem": p.Problem},
			Title: "The file of the prompt rule " + p.Name + " cannot be read", Detail: what + ". " + p.File + ": " + p.Problem,
			Fix: "Mend or bring back the file, which is read again by itself; or name another with `patchbay prompts set " + p.Name + " --file PATH`.",
		})
	}
	return out
}

// claudeLogin explains what people expect to find and do not. The file is not opened.
func claudeLogin(_ Facts, s System) []Finding {
	if s.Home == "" {
		return nil
	}
	path := claudeFile(s.Home)
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	return []Finding{{
		ID: "claude_login", Level: OK, Code: "claude_login.noticed", Params: params{"path": path},
		Title: "A Claude login was noticed and left alone", Detail: path + " (not read)",
		Fix: "A Claude subscription works inside Claude Code only; Anthropic does not let other programs use it. " +
			"For Claude models here, add an API key: `patchbay accounts add anthropic`.",
	}}
}

// oldest is before any version of this program: a clock that shows it is wrong.
var oldest = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// clock finds a clock that would break pauses and the expiry of logins.
func clock(f Facts, s System) []Finding {
	const fix = "Set the clock of this computer, best by switching on automatic time."
	shown, latest := s.Now.Format(time.RFC3339), f.LatestRequest.Format(time.RFC3339)
	switch {
	case s.Now.Before(oldest):
		return []Finding{{
			ID: "clock", Level: Problem, Code: "clock.wrong", Params: params{"now": shown},
			Title: "The clock is wrong", Detail: "It shows " + shown + ". Secure connections and logins will fail.", Fix: fix,
		}}
	case f.LatestRequest.After(s.Now.Add(time.Minute)):
		return []Finding{{
			ID: "clock", Level: Warn, Code: "clock.back", Params: params{"now": shown, "latest": latest},
			Title: "The clock went back", Detail: "The latest request in the log is of " + latest + ", now it is " + shown + ".", Fix: fix,
		}}
	}
	return []Finding{{ID: "clock", Level: OK, Code: "clock.ok", Title: "The clock is plausible"}}
}
