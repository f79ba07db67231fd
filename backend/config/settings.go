package config

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"patchbay/backend/events"
	"patchbay/backend/logging"
)

// Options says where settings come from and who is told of changes.
type Options struct {
	Path     string            // of config.yaml
	LastGood string            // where a copy of the last readable file is kept; "" = nowhere
	Env      []string          // os.Environ(); nil = no environment
	Flags    map[string]string // values by key
	Builtin  []string          // ids of the built-in providers; nil = providers are not checked
	Bus      *events.Bus       // may be nil
	Log      *slog.Logger      // may be nil
}

// Settings owns the configuration. It is safe for concurrent use.
type Settings struct {
	o       Options
	over    map[string]override
	unknown []string
	current atomic.Pointer[state]
	problem atomic.Pointer[Problem]
	// debounce is the pause after which a changed file is read; tests shorten it.
	debounce time.Duration

	mu   sync.Mutex // guards all below, and is held while a change is verified, written and committed
	text string     // of the file, with \n
	crlf bool
	raw  []byte // of the file, as last seen
	from int    // schema version of the file on disk
	subs map[int]Subscriber
	next int
}

// state is one configuration with the lines of the file that it came from.
type state struct {
	cfg   *Config // in force
	file  *Config // without environment and flags
	lines map[string]int
}

// Problem says why the file on disk is not in force. The last good settings are.
type Problem struct {
	Err   error
	Since time.Time
}

// Subscriber hears of changes. Verify may refuse one by an error that names the setting; Commit takes it over and cannot
// fail. Either may be nil. Both are called one change at a time, and must not change settings themselves.
type Subscriber struct {
	Verify func(old, new *Config) error
	Commit func(old, new *Config)
}

// Load reads the settings. A missing file means the defaults. When the file cannot be read the last good copy is used, if
// there is one, and Problem says so; a bad variable or flag is always an error.
func Load(o Options) (*Settings, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Settings{o: o, subs: map[int]Subscriber{}, debounce: 300 * time.Millisecond, from: Version}
	var err error
	if s.over, s.unknown, err = overrides(o.Env, o.Flags); err != nil {
		return nil, err
	}
	data, found, err := readFile(o.Path)
	if err == nil && !found {
		st, err := s.read(nil)
		if err != nil {
			return nil, err
		}
		s.current.Store(st)
		return s, nil
	}
	if err == nil {
		err = s.take(data)
	}
	if err == nil {
		keepCopy(o.LastGood, data)
		return s, nil
	}
	return s, s.fallBack(data, err)
}

// fallBack starts with the last good copy. The text of the broken file is remembered, so that it is taken as soon as it
// has changed.
func (s *Settings) fallBack(broken []byte, cause error) error {
	if s.o.LastGood == "" {
		return cause
	}
	data, found, err := readFile(s.o.LastGood)
	if err != nil || !found || s.take(data) != nil {
		return cause
	}
	s.raw = broken
	s.setProblem(cause)
	return nil
}

// take reads data and puts it in force, without asking anybody.
func (s *Settings) take(data []byte) error {
	text, crlf := normalText(data)
	st, err := s.read(text)
	if err != nil {
		return err
	}
	s.remember(data, string(text), crlf)
	s.current.Store(st)
	return nil
}

func (s *Settings) remember(data []byte, text string, crlf bool) {
	s.raw, s.text, s.crlf = data, text, crlf
	if v, err := versionOf("", text); err == nil {
		s.from = v
	}
}

// read turns the text of the file into a checked state.
func (s *Settings) read(text []byte) (*state, error) {
	migrated, _, err := migrate(s.o.Path, string(text), steps)
	if err != nil {
		return nil, err
	}
	cfg, lines, err := decodeFile(s.o.Path, []byte(migrated))
	if err != nil {
		return nil, err
	}
	st := &state{cfg: overlay(cfg, s.over), file: cfg, lines: lines}
	errs := validate(st.cfg, s.o.Builtin)
	for _, e := range errs {
		s.point(e, st, []byte(migrated))
	}
	return st, errs.join()
}

// point says where the setting of e was set, or the nearest group around it when it is missing.
func (s *Settings) point(e *Error, st *state, text []byte) {
	if o, ok := overriding(s.over, e.Key); ok {
		e.Where = o.source.Name
		return
	}
	for key := e.Key; ; {
		if n, ok := st.lines[key]; ok {
			e.Where, e.Line, e.Excerpt = s.o.Path, n, excerpt(text, n, 0)
			return
		}
		i := strings.LastIndexByte(key, '.')
		if i < 0 {
			return
		}
		key = key[:i]
	}
}

// Current returns the settings in force. They are shared: do not change them.
func (s *Settings) Current() *Config { return s.current.Load().cfg }

// Path returns the path of the file.
func (s *Settings) Path() string { return s.o.Path }

// Unknown lists variables PATCHBAY_... that are no settings, to be told once at start.
func (s *Settings) Unknown() []string { return s.unknown }

// Problem returns why the file on disk is not in force, nil if it is.
func (s *Settings) Problem() *Problem { return s.problem.Load() }

// Source says where the value of a setting comes from.
func (s *Settings) Source(key string) Source { return s.source(key, s.current.Load()) }

func (s *Settings) source(key string, st *state) Source {
	if o, ok := overriding(s.over, key); ok {
		return o.source
	}
	if n, ok := st.lines[key]; ok {
		return Source{Kind: FromFile, Name: s.o.Path, Line: n}
	}
	return Source{Kind: FromDefault}
}

// Setting is one setting as a page shows it.
type Setting struct {
	Key, Value string // Value is redacted
	Source     Source
	Variable   string
}

// List returns every setting in force with its source, sorted by key.
func (s *Settings) List() []Setting {
	st := s.current.Load()
	flat := flatten(st.cfg)
	out := make([]Setting, 0, len(flat))
	for _, key := range slices.Sorted(maps.Keys(flat)) {
		out = append(out, Setting{Key: key, Value: logging.Redact(render(flat[key].value)), Source: s.source(key, st), Variable: Variable(key)})
	}
	return out
}

// Subscribe adds a subscriber. The returned function takes it away.
func (s *Settings) Subscribe(sub Subscriber) (cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.next
	s.next++
	s.subs[id] = sub
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.subs, id)
	}
}

// Set changes one setting, given as text, and saves it: one value in the file changes, its comments, blank lines and
// order stay.
func (s *Settings) Set(key, value string) error {
	path, t, err := locate(key)
	if err != nil {
		return err
	}
	if group(t) {
		return &Error{Key: key, Msg: "this is a group: change a single setting in it"}
	}
	v, err := parseValue(t, value, "", path)
	if err != nil {
		return err
	}
	return s.change(func(c *Config) error {
		assign(reflect.ValueOf(c).Elem(), path, v)
		return nil
	}, func(old *state, want *Config) []leaf { return pin(difference(old, want), old, want, path) })
}

// Unset takes a setting, or a group such as a whole provider, out of the file: its default counts again.
func (s *Settings) Unset(key string) error {
	path, _, err := locate(key)
	if err != nil {
		return err
	}
	return s.change(func(c *Config) error {
		if lookup(reflect.ValueOf(*c), path).IsValid() {
			assign(reflect.ValueOf(c).Elem(), path, deepCopyOf(lookup(reflect.ValueOf(*Default()), path)))
		}
		return nil
	}, func(old *state, _ *Config) []leaf {
		if _, written := old.lines[strings.Join(path, ".")]; !written {
			return nil
		}
		return []leaf{{path: path}}
	})
}

// Update lets f change a copy of the file's settings and saves what it changed. An error of f, of the checks or of a
// subscriber changes nothing.
func (s *Settings) Update(f func(*Config) error) error { return s.change(f, difference) }

// Try reports what Update would refuse, and changes nothing.
func (s *Settings) Try(f func(*Config) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _, _, err := s.prepare(f, difference)
	return err
}

// change is the one way in which settings are changed from inside: f makes the wanted settings, plan lists the edits of
// the text that lead there.
func (s *Settings) change(f func(*Config) error, plan func(old *state, want *Config) []leaf) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, st, text, err := s.prepare(f, plan)
	if err != nil || st == nil {
		return err
	}
	if err := s.save(text); err != nil {
		return err
	}
	s.commit(old, st)
	return nil
}

// prepare makes the state that a change leads to, nil if nothing changes, and asks everybody about it. s.mu is held.
func (s *Settings) prepare(f func(*Config) error, plan func(old *state, want *Config) []leaf) (old, st *state, text string, err error) {
	if err := s.refresh(); err != nil {
		return nil, nil, "", err
	}
	old = s.current.Load()
	want := clone(old.file)
	if err := f(want); err != nil {
		return nil, nil, "", err
	}
	want.SchemaVersion = Version
	text, changed, err := s.edit(plan(old, want), want)
	if err != nil || len(changed) == 0 {
		return nil, nil, "", err
	}
	if st, err = s.read([]byte(text)); err != nil {
		return nil, nil, "", err
	}
	if err := s.verify(old.cfg, st.cfg); err != nil {
		return nil, nil, "", err
	}
	return old, st, text, nil
}

// refresh takes over what somebody else wrote into the file, before it is edited: nothing of theirs may be lost. A file
// that cannot be read is not written over.
func (s *Settings) refresh() error {
	data, found, err := readFile(s.o.Path)
	if err != nil {
		return err
	}
	if !found || bytes.Equal(data, s.raw) && s.problem.Load() == nil {
		return nil
	}
	if err := s.adopt(data); err != nil {
		s.setProblem(err)
		return fmt.Errorf("the settings file must be mended first: %w", err)
	}
	return nil
}

// edit applies edits to the file's text and reads the result back: what would have changed anything else is refused.
func (s *Settings) edit(edits []leaf, want *Config) (text string, changed []string, err error) {
	text, _, err = migrate(s.o.Path, s.text, steps)
	if err != nil {
		return "", nil, err
	}
	for _, e := range edits {
		if o, ok := overriding(s.over, e.key()); ok {
			return "", nil, errOverridden(e.key(), o.source)
		}
		changed = append(changed, e.key())
		if e.value.IsValid() {
			text, err = setText(text, e.path, render(e.value))
		} else {
			text, err = unsetText(text, e.path)
		}
		if err != nil {
			return "", nil, err
		}
	}
	if len(edits) == 0 {
		return text, nil, nil
	}
	got, _, err := decodeFile(s.o.Path, []byte(text))
	if err != nil {
		return "", nil, err
	}
	if !sameSettings(got, want) {
		return "", nil, &Error{Key: changed[0], Where: s.o.Path, Msg: "the file is written in a way that cannot be edited here: change this setting by hand"}
	}
	return text, changed, nil
}

// difference lists the edits that lead from old to want, in a fixed order. An edit without a value takes it out.
func difference(old *state, want *Config) []leaf {
	before, after := flatten(old.file), flatten(want)
	var edits []leaf
	for _, key := range slices.Sorted(maps.Keys(after)) {
		b, ok := before[key]
		if !ok || !sameValue(b.value, after[key].value) {
			edits = append(edits, after[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if _, ok := after[key]; !ok {
			edits = append(edits, leaf{path: goneGroup(before[key].path, want)})
		}
	}
	return slices.CompactFunc(edits, func(a, b leaf) bool { return a.key() == b.key() })
}

// goneGroup returns the path of the outermost map entry around path that want no longer has.
func goneGroup(path []string, want *Config) []string {
	for i := range path {
		if !lookup(reflect.ValueOf(*want), path[:i+1]).IsValid() {
			return path[:i+1]
		}
	}
	return path
}

// pin adds the setting at path to edits when it was named on its own and has its default already: the person wants it
// written out all the same.
func pin(edits []leaf, old *state, want *Config, path []string) []leaf {
	v := lookup(reflect.ValueOf(*want), path)
	if _, written := old.lines[strings.Join(path, ".")]; written || len(edits) > 0 || !v.IsValid() {
		return edits
	}
	return []leaf{{path, v}}
}

func sameSettings(a, b *Config) bool {
	return maps.EqualFunc(flatten(a), flatten(b), func(x, y leaf) bool { return sameValue(x.value, y.value) })
}

func (s *Settings) verify(old, new *Config) error {
	for _, id := range slices.Sorted(maps.Keys(s.subs)) {
		if v := s.subs[id].Verify; v != nil {
			if err := v(old, new); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Settings) save(text string) error {
	data := []byte(text)
	if s.crlf {
		data = bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n"))
	}
	if s.from < Version && len(s.raw) > 0 {
		keepCopy(filepath.Join(filepath.Dir(s.o.Path), "config.v"+strconv.Itoa(s.from)+".yaml"), s.raw)
	}
	if err := writeFile(s.o.Path, data); err != nil {
		return err
	}
	s.remember(data, text, s.crlf)
	return nil
}

func (s *Settings) commit(old, new *state) {
	s.current.Store(new)
	s.problem.Store(nil)
	keepCopy(s.o.LastGood, s.raw)
	for _, id := range slices.Sorted(maps.Keys(s.subs)) {
		if c := s.subs[id].Commit; c != nil {
			c(old.cfg, new.cfg)
		}
	}
	s.publish("")
}

func (s *Settings) publish(id string) {
	if s.o.Bus != nil {
		s.o.Bus.Publish(events.Config, id, nil)
	}
}

// Reload reads the file if it has changed. A file that cannot be read, or that a subscriber refuses, leaves the settings
// as they are, and Problem tells why until it is mended.
func (s *Settings) Reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, found, err := readFile(s.o.Path)
	switch {
	case err != nil:
	case !found && len(s.raw) == 0 && s.problem.Load() == nil:
		return nil
	case !found:
		err = errGone
	case bytes.Equal(data, s.raw) && s.problem.Load() == nil:
		return nil
	default:
		err = s.adopt(data)
	}
	if err != nil {
		s.setProblem(err)
	}
	return err
}

var errGone = errors.New("the settings file is gone: the last settings stay in force, and the next change writes it anew")

// adopt puts the text of a changed file in force, if everybody agrees.
func (s *Settings) adopt(data []byte) error {
	text, crlf := normalText(data)
	st, err := s.read(text)
	if err != nil {
		return err
	}
	old := s.current.Load()
	if err := s.verify(old.cfg, st.cfg); err != nil {
		return err
	}
	s.remember(data, string(text), crlf)
	s.commit(old, st)
	s.o.Log.Info("Settings reloaded", "path", s.o.Path)
	return nil
}

// setProblem says once per problem that the file is not in force.
func (s *Settings) setProblem(err error) {
	if p := s.problem.Load(); p != nil && p.Err.Error() == err.Error() {
		return
	}
	s.problem.Store(&Problem{Err: err, Since: time.Now()})
	s.o.Log.Error("Settings file cannot be used, the last good settings stay in force", "path", s.o.Path, "err", err)
	s.publish("problem")
}
