// Package prompt owns the person's rules for system text: what is put before, behind or in place of what apps send, for all
// requests, for a provider or for a client key. It reads the rules' files and says what is to be done; it changes no
// request itself.
package prompt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"patchbay/backend/wire"
)

// Modes of a rule's text.
const (
	Override = "override" // in place of the app's
	Append   = "append"
	Prepend  = "prepend"
)

// MaxFile bounds a rule's file.
const MaxFile = 1 << 20

// Rule is one rule.
type Rule struct {
	Name          string
	Mode          string            // "" = append
	Text          string            // or
	File          string            // a path; read again when the file changes
	Providers     []string          // ids; empty = all
	Keys          []string          // names or ids of client keys; empty = all
	Replace       map[string]string // text -> text
	ReplaceRegexp map[string]string // regular expression (RE2) -> text, in which $1 stands for a group
	Order         int               // among the rules of the same reach: the lowest comes first
}

// rank orders rules: what is said of a client key comes after what is said of a provider, and that after the rest, so that
// the narrower rule has the last word.
func (r *Rule) rank() int {
	switch {
	case len(r.Keys) > 0:
		return 2
	case len(r.Providers) > 0:
		return 1
	default:
		return 0
	}
}

func (r *Rule) applies(provider, keyID, keyName string) bool {
	if len(r.Providers) > 0 && !slices.Contains(r.Providers, provider) {
		return false
	}
	return len(r.Keys) == 0 || keyID != "" && slices.ContainsFunc(r.Keys, func(k string) bool { return k == keyID || strings.EqualFold(k, keyName) })
}

// compiled is a rule ready for use. It is never changed.
type compiled struct {
	Rule
	text    string
	seen    seen
	problem string // why the file cannot be read, "" = it can
	good    bool   // text is what the file held at some time
	replace []replacement
}

type replacement struct {
	from string
	re   *regexp.Regexp // nil = from is plain
	to   string
}

// seen is what is known of a file without reading it.
type seen struct {
	size int64
	mod  time.Time
}

// Rules holds the rules in force. It is safe for concurrent use.
type Rules struct {
	log  *slog.Logger
	edit sync.Mutex // held over a change
	now  atomic.Pointer[[]*compiled]
}

// New returns Rules without any rule.
func New(log *slog.Logger) *Rules { return &Rules{log: log} }

// Set replaces all rules. Files are read; one that cannot be read is told in the log, and its rule goes on with what it last
// read, or without its text. The error names a regular expression that is none; the rules stay as they were then.
func (r *Rules) Set(rules []Rule) error {
	r.edit.Lock()
	defer r.edit.Unlock()
	old := map[string]*compiled{}
	for _, c := range r.current() {
		old[c.Name] = c
	}
	list := make([]*compiled, 0, len(rules))
	for _, rule := range rules {
		c := &compiled{Rule: rule, text: rule.Text}
		var err error
		if c.replace, err = compile(&rule); err != nil {
			return err
		}
		if rule.File != "" {
			if o := old[rule.Name]; o != nil && o.File == rule.File {
				c.text, c.seen, c.problem, c.good = o.text, o.seen, o.problem, o.good
			}
			c = r.read(c)
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *compiled) int {
		return cmp.Or(a.rank()-b.rank(), cmp.Compare(a.Order, b.Order), strings.Compare(a.Name, b.Name))
	})
	r.now.Store(&list)
	return nil
}

func (r *Rules) current() []*compiled {
	if list := r.now.Load(); list != nil {
		return *list
	}
	return nil
}

func compile(rule *Rule) ([]replacement, error) {
	var out []replacement
	for _, from := range slices.Sorted(maps.Keys(rule.Replace)) {
		out = append(out, replacement{from: from, to: rule.Replace[from]})
	}
	for _, from := range slices.Sorted(maps.Keys(rule.ReplaceRegexp)) {
		re, err := regexp.Compile(from)
		if err != nil {
			return nil, fmt.Errorf("the prompt rule %s: %w", rule.Name, err)
		}
		out = append(out, replacement{re: re, to: rule.ReplaceRegexp[from]})
	}
	return out, nil
}

// read looks at a rule's file and returns the rule as it is now: c itself if nothing has changed.
func (r *Rules) read(c *compiled) *compiled {
	text, at, err := readFile(c.File, c.seen)
	if errors.Is(err, errSame) {
		return c
	}
	next := *c
	if err != nil {
		next.problem, next.seen = err.Error(), seen{}
		if next.problem == c.problem {
			return c
		}
		if c.good {
			r.log.Error("The file of a prompt rule cannot be read; what it last held is in force", "rule", c.Name, "err", err)
		} else {
			r.log.Error("The file of a prompt rule cannot be read; the rule goes without it", "rule", c.Name, "err", err)
		}
		return &next
	}
	if c.good || c.problem != "" {
		r.log.Info("The file of a prompt rule was read again", "rule", c.Name)
	}
	next.text, next.seen, next.problem, next.good = text, at, "", true
	return &next
}

var errSame = errors.New("the file has not changed")

func readFile(path string, last seen) (text string, at seen, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", at, err
	}
	at = seen{info.Size(), info.ModTime()}
	switch {
	case at == last:
		return "", at, errSame
	case !info.Mode().IsRegular():
		return "", at, fmt.Errorf("%s is no file", path)
	case at.size > MaxFile:
		return "", at, fmt.Errorf("%s is larger than %d bytes", path, MaxFile)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", at, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxFile)) // it may grow while it is read; then it has changed again
	if err != nil {
		return "", at, err
	}
	if !utf8.Valid(b) {
		return "", at, fmt.Errorf("%s is not written in UTF-8", path)
	}
	return strings.TrimSpace(strings.TrimPrefix(string(b), "\ufeff")), at, nil
}

// lookEvery is how often files are looked at. It costs a call to the system for each.
const lookEvery = 2 * time.Second

// Run reads files again when they change, until ctx ends.
func (r *Rules) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			r.Look()
		}
	}
}

// Look reads the files that have changed.
func (r *Rules) Look() {
	r.edit.Lock()
	defer r.edit.Unlock()
	list := slices.Clone(r.current())
	changed := false
	for i, c := range list {
		if c.File != "" {
			list[i] = r.read(c)
			changed = changed || list[i] != c
		}
	}
	if changed {
		r.now.Store(&list)
	}
}

// Status is a rule with what came of its file.
type Status struct {
	Rule
	Held    string // the text in force: the rule's own, or what its file last held
	Problem string // why the file cannot be read, "" = it can, or there is none
}

// List returns the rules in the order in which they are applied.
func (r *Rules) List() []Status {
	var out []Status
	for _, c := range r.current() {
		out = append(out, Status{Rule: c.Rule, Held: c.text, Problem: c.problem})
	}
	return out
}

// Applied is a rule that has a say in a request.
type Applied struct {
	Name    string
	Does    []string // overrides, appends, prepends, replaces
	Problem string   // what is wrong with its file, as a sentence
}

// Edit returns what is to be done with the system text of a request, nil for nothing, and what the route trace should say
// of it. The same rules always give the same text.
func (r *Rules) Edit(provider, keyID, keyName string) (*wire.SystemEdit, []string) {
	e, applied := r.Explain(provider, keyID, keyName)
	var notes, did []string
	for _, a := range applied {
		if a.Problem != "" {
			notes = append(notes, a.Problem)
		}
		if len(a.Does) > 0 {
			did = append(did, a.Name+" "+strings.Join(a.Does, " and "))
		}
	}
	if e != nil {
		notes = append(notes, "system text for "+provider+": "+strings.Join(did, ", "))
	}
	return e, notes
}

// Explain returns the same edit, and rule by rule where it comes from.
func (r *Rules) Explain(provider, keyID, keyName string) (*wire.SystemEdit, []Applied) {
	e := &wire.SystemEdit{}
	var applied []Applied
	var replace []replacement
	does := false
	for _, c := range r.current() {
		if !c.applies(provider, keyID, keyName) {
			continue
		}
		a := Applied{Name: c.Name}
		if c.problem != "" {
			how := "it goes without it"
			if c.good {
				how = "what it last held is used"
			}
			a.Problem = "the prompt rule " + c.Name + " cannot read its file, " + how + ": " + c.problem
		}
		replace = append(replace, c.replace...)
		a.Does = add(e, c)
		if len(c.replace) > 0 {
			a.Does = append(a.Does, "replaces")
		}
		does = does || len(a.Does) > 0
		applied = append(applied, a)
	}
	if !does {
		return nil, applied
	}
	if len(replace) > 0 {
		e.Replace = func(text string) string { return applyAll(replace, text) }
		e.Before, e.After = e.Replace(e.Before), e.Replace(e.After)
	}
	return e, applied
}

// add puts a rule's text to what the rules before it made, and says how.
func add(e *wire.SystemEdit, c *compiled) []string {
	if c.text == "" {
		return nil
	}
	switch c.Mode {
	case Override:
		e.Drop, e.Before, e.After = true, "", c.text
		return []string{"overrides"}
	case Prepend:
		e.Before = join(c.text, e.Before)
		return []string{"prepends"}
	default:
		e.After = join(e.After, c.text)
		return []string{"appends"}
	}
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "\n\n" + b
}

func applyAll(list []replacement, text string) string {
	for _, p := range list {
		if p.re != nil {
			text = p.re.ReplaceAllString(text, p.to)
		} else {
			text = strings.ReplaceAll(text, p.from, p.to)
		}
	}
	return text
}
