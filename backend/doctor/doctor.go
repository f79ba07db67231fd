// Package doctor says what is wrong and how to mend it: one list of findings for the command, the page and the support
// bundle. It looks at facts that the owners of the state hand in and at the machine around them; it owns no state,
// changes nothing and reads no credential.
package doctor

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Level says how much a finding matters.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Warn    Level = "warn"    // works, but a person should know
	Problem Level = "problem" // something does not work until a person acts
)

// Finding is one thing that was looked at.
type Finding struct {
	ID    string `json:"id"` // what was looked at, stable: "port", "vault", "account.needs_person"
	Level Level  `json:"level"`
	// Code names the sentences below, for who says them in another language, with what stands in them under Params. Both are
	// stable: the page's texts have them as "doctor.CODE", "doctor.CODE.detail" and "doctor.CODE.fix".
	Code   string            `json:"code"`
	Params map[string]string `json:"params,omitempty"`

	Title  string `json:"title"`            // a sentence without a full stop
	Detail string `json:"detail,omitempty"` // what was seen
	Fix    string `json:"fix,omitempty"`    // what to do next
}

// Facts are what the owners of the state know. The zero value of a part means that nothing is known of it.
type Facts struct {
	ConfigPath     string
	ConfigProblems []string // as the settings' own messages; empty = readable
	Listen         string   // address and port from the settings
	Listening      bool     // this very process serves Listen
	Second         Second   // the listener for apps that only know Ollama's address
	LAN            bool     // other machines may call
	Database       Database
	Vault          Vault
	Providers      []Provider
	Accounts       []Account
	Files          []File
	Prompts        []Prompt
	Default        string // the default provider, "" if none is set
	ClientKeys     int    // usable ones
	LatestRequest  time.Time
}

// Second is the state of the Ollama listener.
type Second struct {
	Listen  string // address and port from the settings, "" if it is off
	Running bool   // the program runs in this very process
	Err     error  // why it does not listen although the program runs
	NoKey   bool   // programs on this machine need no key there
}

// Database is the state of the store.
type Database struct {
	Path     string
	SetAside string // what the store said when it kept an unreadable file aside
	Err      error  // it could not be opened
}

// Vault is the state of the place that holds secrets.
type Vault struct {
	State  string // VaultOpen, VaultLocked, VaultLost
	Source string // VaultKeychain, VaultFile, VaultEnv, VaultMemory
	Path   string // of the key file
	Err    error
}

// States and sources of Vault.
const (
	VaultOpen     = "ok"
	VaultLocked   = "locked"
	VaultLost     = "lost"
	VaultKeychain = "os"
	VaultFile     = "file"
	VaultEnv      = "env"
	VaultMemory   = "memory"
)

// Provider is one provider with what its check needs.
type Provider struct {
	ID, BaseURL string
	Enabled     bool
}

// Account is one account with its health.
type Account struct {
	ID, Provider, Name, State, Reason string
	NeedsPerson                       bool
	Enabled                           bool
}

// Prompt is a rule for system text whose file cannot be read.
type Prompt struct {
	Name, File, Problem string
	Held                bool // what the file last held goes on being used
}

// System is the machine as the checks see it. [ThisMachine] is the real one.
type System struct {
	Getenv func(name string) string
	Home   string // of the person
	Now    time.Time
	// Free returns nil when the address can be listened on.
	Free func(addr string) error
	// Holder names the process that listens on a port.
	Holder func(port uint16) (Process, bool)
	// Local reports whether a host name or address means this machine.
	Local func(host string) bool
}

// ThisMachine returns the machine the program runs on.
func ThisMachine() System {
	home, _ := os.UserHomeDir() // without one, files below it are not found
	return System{
		Getenv: os.Getenv,
		Home:   home,
		Now:    time.Now(),
		Free:   free,
		Holder: Holder,
		Local:  local,
	}
}

func free(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return l.Close()
}

// local reports whether host is this machine: by loopback, by an address of one of its interfaces, or by its name.
func local(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		name, err := os.Hostname()
		return err == nil && strings.EqualFold(name, host)
	}
	addr = addr.Unmap().WithZone("")
	if addr.IsLoopback() || addr.IsUnspecified() {
		return true
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range own {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Unmap() == addr {
				return true
			}
		}
	}
	return false
}

// checks is every check, in the order people read the findings.
var checks = []func(Facts, System) []Finding{
	config, port, second, lan, database, vault, clientKeys, accounts, defaultProvider, loops, proxyEnv, files, prompts, claudeLogin, clock,
}

// Check looks at everything. The findings come in a fixed order, the good ones too.
func Check(f Facts, s System) []Finding {
	var out []Finding
	for _, c := range checks {
		out = append(out, c(f, s)...)
	}
	return out
}

// Worst returns the gravest level of some findings.
func Worst(findings []Finding) Level {
	worst := OK
	for _, f := range findings {
		switch {
		case f.Level == Problem:
			return Problem
		case f.Level == Warn:
			worst = Warn
		}
	}
	return worst
}

// claudeFile is where Claude Code keeps its login on Linux and Windows.
func claudeFile(home string) string { return filepath.Join(home, ".claude", ".credentials.json") }
