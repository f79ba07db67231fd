// Package tray is the icon in the notification area with its menu. Build says what the menu shows for a state, as plain data
// that is tested on every system without a desktop. Tray puts that data on screen and hands clicks on. It decides nothing and
// knows no other room: what a click does is the caller's business.
package tray

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// Say returns a text in the person's language, with values given as name, value, name, value.
type Say func(key string, values ...string) string

// State is what the menu shows.
type State struct {
	Base     string // http://127.0.0.1:8390; "" when nothing listens
	InFlight int64  // requests being answered now
	Paused   bool
	Locked   bool   // the system keychain does not open
	Problem  string // why nothing is answered, in a few words, unless Port says it
	Port     *Port  // the port is taken

	Providers []Provider // that have an account, in the order of the page
	Accounts  []Account

	Failure *Failure // the latest request that failed
	LAN     bool     // other machines may connect
	Update  Update
	Login   Login
	Now     time.Time
}

// Port is a port that somebody else has.
type Port struct {
	Number int
	Owner  string // "ollama (process 123)"
	Free   int    // another one that may be had; 0 = none was looked for
}

// Provider is a provider that may be chosen as the default.
type Provider struct {
	ID, Name string
	Default  bool
}

// Account is an account with its health.
type Account struct {
	ID, Name     string
	Provider     string // id
	ProviderName string
	Ready        bool
	NeedsSignIn  bool
	Until        time.Time // it rests until then; zero if it does not rest, or nobody knows
	Enabled      bool
}

// Failure is a request that failed.
type Failure struct {
	ID   string
	App  string // name of the app's key
	Kind string // the kind of the error, as the API names it
	At   time.Time
}

// failureAge is how long a failure is worth a line.
const failureAge = time.Hour

// Update says what is known of newer versions.
type Update struct {
	Can     bool   // one can be looked for
	Version string // a newer one; "" = none is known
}

// Login says whether Patchbay starts when the person logs in.
type Login int

// The states of starting at login.
const (
	LoginUnknown Login = iota // this system does not offer it
	LoginOff
	LoginOn
	LoginBlocked // it is on here, and switched off in the system's own settings
)

// Icon is what the icon says.
type Icon int

// The icons.
const (
	IconReady  Icon = iota
	IconNeeds       // something needs the person
	IconDown        // nothing can be answered
	IconPaused      // by the person
)

// Menu is what Build says: an icon, a tooltip and the entries, hidden ones included. The entries and their order are the same
// for every state, so that a menu on screen never needs one inserted.
type Menu struct {
	Icon    Icon
	Tooltip string
	Items   []Item
}

// Item is one entry.
type Item struct {
	ID       string // the same in every state
	Kind     Kind
	Label    string
	Hidden   bool
	Disabled bool
	Checked  bool
	Click    Click
	Items    []Item
}

// Kind says what an entry is.
type Kind int

// The kinds of entries.
const (
	Entry Kind = iota
	Check      // has a mark that is on or off
	Separator
	Submenu
)

// Click is what a click asks for.
type Click struct {
	Do Verb
	ID string // of what it concerns
}

// Verb is what is to be done.
type Verb string

// The verbs. Those of the form Open... open a place of the page.
const (
	Nothing        Verb = ""
	Open           Verb = "open"
	OpenBrowser    Verb = "open_browser"
	OpenActivity   Verb = "open_activity"
	OpenRequest    Verb = "open_request" // ID is the request's
	OpenConnect    Verb = "open_connect"
	OpenAccounts   Verb = "open_accounts"
	OpenAddAccount Verb = "open_add_account"
	OpenSignIn     Verb = "open_sign_in" // ID is the account's
	OpenNetwork    Verb = "open_network"
	SetDefault     Verb = "set_default" // ID is the provider's
	UseNow         Verb = "use_now"     // ID is the account's: end its rest
	Copy           Verb = "copy"        // ID is the text
	NewKey         Verb = "new_key"
	Pause          Verb = "pause"
	GoOn           Verb = "go_on"
	Unlock         Verb = "unlock"
	UsePort        Verb = "use_port" // ID is the number
	CheckUpdates   Verb = "check_updates"
	ShowUpdate     Verb = "show_update"
	StartAtLogin   Verb = "start_at_login" // ID is on or off: what is wanted
	Quit           Verb = "quit"
)

// How much the menu shows at most. The rest is in the page.
const (
	maxSignIn   = 3
	maxEntries  = 12
	maxProtocol = 5
)

// Build says what the menu shows.
func Build(s State, say Say) Menu {
	h := countHealth(s)
	b := builder{s: s, say: say, h: h}
	m := Menu{Icon: b.icon(), Tooltip: b.tooltip()}
	m.Items = append(m.Items, b.status()...)
	m.Items = append(m.Items, separator("status-end"), b.defaults(), b.resting(), b.copyAddress(), b.newKey(), b.failure(), separator("work-end"))
	m.Items = append(m.Items, b.opening()...)
	m.Items = append(m.Items, separator("open-end"))
	m.Items = append(m.Items, b.program()...)
	return m
}

type builder struct {
	s   State
	say Say
	h   health
}

// health is what the accounts together can do.
type health struct {
	total, ready int
	signIn       []Account
	resting      []Account
	soonest      time.Time // when the first one is back, if none is ready
}

func countHealth(s State) health {
	var h health
	for _, a := range s.Accounts {
		if !a.Enabled {
			continue
		}
		h.total++
		switch {
		case a.Ready:
			h.ready++
		case a.NeedsSignIn:
			h.signIn = append(h.signIn, a)
		case a.Until.After(s.Now):
			h.resting = append(h.resting, a)
			if h.soonest.IsZero() || a.Until.Before(h.soonest) {
				h.soonest = a.Until
			}
		}
	}
	slices.SortStableFunc(h.resting, func(a, b Account) int { return a.Until.Compare(b.Until) })
	return h
}

// condition is the one thing that the icon, the tooltip and the first line agree on.
type condition int

const (
	ready condition = iota
	noAccount
	noneUntil
	none
	paused
	locked
	portTaken
	notAnswering
)

func (b builder) condition() condition {
	switch {
	case b.s.Port != nil:
		return portTaken
	case b.s.Problem != "" || b.s.Base == "":
		return notAnswering
	case b.s.Paused:
		return paused
	case b.h.ready > 0:
		return ready
	case b.s.Locked:
		return locked
	case b.h.total == 0:
		return noAccount
	case !b.h.soonest.IsZero():
		return noneUntil
	}
	return none
}

func (b builder) icon() Icon {
	switch b.condition() {
	case paused:
		return IconPaused
	case ready:
		if len(b.h.signIn) > 0 || b.s.Locked {
			return IconNeeds
		}
		return IconReady
	case noAccount, locked:
		return IconNeeds
	}
	return IconDown
}

func (b builder) tooltip() string {
	switch b.condition() {
	case ready:
		return b.say("tray.tip.ready", "n", strconv.Itoa(b.h.ready), "m", strconv.Itoa(b.h.total))
	case noAccount:
		return b.say("tray.tip.noAccount")
	case noneUntil:
		return b.say("tray.tip.noneUntil", "time", b.clock(b.h.soonest))
	case none:
		return b.say("tray.tip.none")
	case paused:
		return b.say("tray.tip.paused")
	case locked:
		return b.say("tray.tip.locked")
	}
	return b.say("tray.tip.notAnswering")
}

// headline is the first line of the menu.
func (b builder) headline() string {
	switch b.condition() {
	case ready:
		if b.h.total == 1 {
			return b.say("tray.readyOne")
		}
		return b.say("tray.ready", "n", strconv.Itoa(b.h.ready), "m", strconv.Itoa(b.h.total))
	case noAccount:
		return b.say("tray.noAccount")
	case noneUntil:
		return b.say("tray.noneUntil", "time", b.clock(b.h.soonest))
	case none:
		return b.say("tray.none")
	case paused:
		return b.say("tray.paused")
	case locked:
		return b.say("tray.locked")
	case portTaken:
		return b.say("tray.port", "port", strconv.Itoa(b.s.Port.Number), "owner", b.s.Port.Owner)
	}
	return b.say("tray.notAnswering", "cause", b.s.Problem)
}

// clock is a time as a person reads it: the hour today, the weekday with it within a week, else the date.
func (b builder) clock(t time.Time) string { return Clock(t, b.s.Now) }

// Clock is a time as the menu and the notifications show it.
func Clock(t, now time.Time) string {
	t = t.In(now.Location())
	days := t.YearDay() - now.YearDay() + 365*(t.Year()-now.Year()) // exact enough around a new year: it only picks a form
	switch {
	case days == 0:
		return t.Format("15:04")
	case days > 0 && days < 7, days < 0 && days > -7:
		return t.Format("01-02 15:04")
	}
	return t.Format("2006-01-02")
}

func (b builder) status() []Item {
	out := []Item{{ID: "status", Label: b.headline(), Disabled: true}}
	running := Item{ID: "running", Disabled: true, Hidden: b.s.InFlight == 0 || b.s.Base == ""}
	if !running.Hidden {
		running.Label = b.say("tray.running", "address", host(b.s.Base), "n", strconv.FormatInt(b.s.InFlight, 10))
	}
	out = append(out, running)
	use := Item{ID: "use-port", Hidden: b.s.Port == nil || b.s.Port.Free == 0}
	if !use.Hidden {
		n := strconv.Itoa(b.s.Port.Free)
		use.Label, use.Click = b.say("tray.portUse", "port", n), Click{UsePort, n}
	}
	unlock := Item{ID: "unlock", Label: b.say("tray.unlock"), Click: Click{Do: Unlock}, Hidden: !b.s.Locked}
	out = append(out, use, unlock)
	for i := range maxSignIn {
		it := Item{ID: "sign-in-" + strconv.Itoa(i), Hidden: i >= len(b.h.signIn)}
		if !it.Hidden {
			a := b.h.signIn[i]
			it.Label = b.say("tray.signIn", "provider", cmp.Or(a.ProviderName, a.Provider), "account", a.Name)
			it.Click = Click{OpenSignIn, a.ID}
		}
		out = append(out, it)
	}
	return out
}

// defaults is the list of providers of which one is the default.
func (b builder) defaults() Item {
	m := Item{ID: "default", Kind: Submenu, Label: b.say("tray.default")}
	for i := range maxEntries {
		it := Item{ID: "default-" + strconv.Itoa(i), Kind: Check, Hidden: i >= len(b.s.Providers)}
		if !it.Hidden {
			p := b.s.Providers[i]
			it.Label, it.Checked, it.Click = b.pool(p), p.Default, Click{SetDefault, p.ID}
		}
		m.Items = append(m.Items, it)
	}
	m.Items = append(m.Items,
		Item{ID: "default-all", Label: b.say("tray.allAccounts"), Click: Click{Do: OpenAccounts}, Hidden: len(b.s.Providers) <= maxEntries},
		separator("default-end"),
		Item{ID: "default-add", Label: b.say("tray.addAccount"), Click: Click{Do: OpenAddAccount}})
	return m
}

// pool is a provider with what its accounts can do.
func (b builder) pool(p Provider) string {
	name := cmp.Or(p.Name, p.ID)
	total, ready := 0, 0
	for _, a := range b.s.Accounts {
		if a.Provider == p.ID && a.Enabled {
			total++
			if a.Ready {
				ready++
			}
		}
	}
	switch {
	case total > 1:
		return b.say("tray.pool", "provider", name, "n", strconv.Itoa(ready), "m", strconv.Itoa(total))
	case ready == 1:
		return b.say("tray.poolOne", "provider", name)
	}
	return b.say("tray.poolNone", "provider", name)
}

func (b builder) resting() Item {
	m := Item{ID: "resting", Kind: Submenu, Label: b.say("tray.resting"), Hidden: len(b.h.resting) == 0}
	for i := range maxEntries {
		it := Item{ID: "resting-" + strconv.Itoa(i), Hidden: i >= len(b.h.resting)}
		if !it.Hidden {
			a := b.h.resting[i]
			it.Label, it.Click = b.say("tray.restUntil", "account", a.Name, "time", b.clock(a.Until)), Click{UseNow, a.ID}
		}
		m.Items = append(m.Items, it)
	}
	m.Items = append(m.Items, Item{ID: "resting-all", Label: b.say("tray.allAccounts"), Click: Click{Do: OpenAccounts}, Hidden: len(b.h.resting) <= maxEntries})
	return m
}

// protocols are what apps speak, with what they append to the base address.
var protocols = [maxProtocol]struct{ name, path string }{
	{"OpenAI", "/v1"}, {"OpenAI Responses", "/v1"}, {"Anthropic", ""}, {"Gemini", ""}, {"Ollama", "/ollama"},
}

func (b builder) copyAddress() Item {
	m := Item{ID: "copy", Kind: Submenu, Label: b.say("tray.copy"), Disabled: b.s.Base == ""}
	for i, p := range protocols {
		it := Item{ID: "copy-" + strconv.Itoa(i), Label: p.name, Disabled: m.Disabled}
		if !it.Disabled {
			address := b.s.Base + p.path
			it.Label, it.Click = p.name+" · "+address, Click{Copy, address}
		}
		m.Items = append(m.Items, it)
	}
	return m
}

func (b builder) newKey() Item {
	return Item{ID: "new-key", Label: b.say("tray.newKey"), Click: Click{Do: NewKey}, Disabled: b.s.Base == ""}
}

// reasons are the kinds of errors in a few words.
var reasons = map[string]string{
	"invalid_request": "why.invalid", "body_too_large": "why.invalid", "context_too_long": "why.invalid", "unsupported": "why.invalid",
	"model_not_found": "why.model", "client_unauthorized": "why.key", "client_forbidden": "why.key", "client_limited": "why.limit",
	"rate_limited": "why.limit", "quota_exhausted": "why.limit", "no_credit": "why.limit",
	"auth_expired": "why.signIn", "not_configured": "why.nobody", "no_account": "why.nobody",
	"overloaded": "why.busy", "model_busy": "why.busy", "upstream_error": "why.service", "truncated": "why.service",
	"transport": "why.connection", "timeout": "why.timeout",
	"policy_refused": "why.refused", "account_blocked": "why.refused", "content_filtered": "why.refused",
}

func (b builder) failure() Item {
	f := b.s.Failure
	it := Item{ID: "failure", Hidden: f == nil || b.s.Now.Sub(f.At) > failureAge}
	if !it.Hidden {
		it.Label = b.say("tray.lastFailure", "app", cmp.Or(f.App, b.say("tray.anApp")), "reason", b.say(cmp.Or(reasons[f.Kind], "why.other")), "time", b.clock(f.At))
		it.Click = Click{OpenRequest, f.ID}
	}
	return it
}

func (b builder) opening() []Item {
	off := b.s.Base == ""
	pause := Item{ID: "pause", Label: b.say("tray.pause"), Click: Click{Do: Pause}, Disabled: off}
	if b.s.Paused {
		pause.Label, pause.Click = b.say("tray.goOn"), Click{Do: GoOn}
	}
	return []Item{
		{ID: "open", Label: b.say("tray.open"), Click: Click{Do: Open}},
		{ID: "browser", Label: b.say("tray.openBrowser"), Click: Click{Do: OpenBrowser}, Disabled: off},
		{ID: "activity", Label: b.say("tray.activity"), Click: Click{Do: OpenActivity}, Disabled: off},
		{ID: "connect", Label: b.say("tray.connect"), Click: Click{Do: OpenConnect}, Disabled: off},
		pause,
	}
}

func (b builder) program() []Item {
	login := Item{ID: "start-at-login", Kind: Check, Label: b.say("tray.startAtLogin"), Click: Click{StartAtLogin, "on"}, Hidden: b.s.Login == LoginUnknown}
	switch b.s.Login {
	case LoginOn:
		login.Checked, login.Click.ID = true, "off"
	case LoginBlocked:
		login.Label = b.say("tray.startBlocked")
	}
	u := b.s.Update
	found := Item{ID: "update", Hidden: u.Version == "", Click: Click{Do: ShowUpdate}}
	if u.Version != "" {
		found.Label = b.say("tray.updateFound", "version", u.Version)
	}
	return []Item{
		{ID: "network", Label: b.say("tray.network"), Click: Click{Do: OpenNetwork}, Hidden: !b.s.LAN},
		found,
		{ID: "check-updates", Label: b.say("tray.checkUpdates"), Click: Click{Do: CheckUpdates}, Hidden: !u.Can || u.Version != ""},
		login,
		{ID: "quit", Label: b.say("tray.quit"), Click: Click{Do: Quit}},
	}
}

func separator(id string) Item { return Item{ID: id, Kind: Separator} }

// host is the host and port of an address.
func host(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return base
	}
	return u.Host
}
