// Package preset holds what is known of services that are reached with a plain API key: their addresses, how they take the
// key, what they list and what they do differently. It is data, presets.yaml, with a date and a source on every entry,
// because vendors move; a person may change or add entries in a file of the same form.
//
// The package opens no connection and knows no driver. What a quirk means is the business of the driver of that kind.
package preset

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"patchbay/backend/canon"
	"patchbay/backend/config"
	"patchbay/backend/provider"
)

// FileName is the name of a person's own presets, next to config.yaml.
const FileName = "presets.yaml"

//go:embed presets.yaml
var builtIn []byte

// Preset is one service as it may be added with one word.
type Preset struct {
	ID      string `yaml:"id"`
	Name    string `yaml:"name"`
	Kind    string `yaml:"kind"`     // one of config.Kinds
	BaseURL string `yaml:"base_url"` // "" where each person has an address of their own
	Example string `yaml:"example"`  // of such an address
	Remove  bool   `yaml:"remove"`   // in a person's file: do not offer this one
	AsOf    string `yaml:"as_of"`    // the day on which the facts held, 2026-11-22
	Source  string `yaml:"source"`   // where the facts come from
	Notes   string `yaml:"notes"`    // for people
	Group   string `yaml:"group"`    // presets of one service: regions, plans and protocols
	Region  string `yaml:"region"`   // keys are bound to it

	KeyURL     string            `yaml:"key_url"`
	KeyEnv     []string          `yaml:"key_env"`
	KeyForm    string            `yaml:"key_form"` // what a key looks like
	NoKey      bool              `yaml:"no_key"`
	AuthHeader string            `yaml:"auth_header"`
	AuthPrefix string            `yaml:"auth_prefix"`
	Headers    map[string]string `yaml:"headers"`
	Quirks     []string          `yaml:"quirks"`
	Models     Models            `yaml:"models"`
}

// Models says which models a service has.
type Models struct {
	List  string   `yaml:"list"`  // ListLive or ListStatic
	URL   string   `yaml:"url"`   // path of the list on the same host, where it is not <base_url>/models
	Only  []string `yaml:"only"`  // patterns of what is shown of a live list; none = all
	Hide  []string `yaml:"hide"`  // patterns of what cannot chat
	Known []Model  `yaml:"known"` // the list itself, or facts and a stand-in for a list that cannot be had
}

// Ways to know a service's models.
const (
	ListLive   = "live"
	ListStatic = "static"
)

// Model is what is known of a model; what is not there is unknown.
type Model struct {
	ID        string   `yaml:"id"`
	Name      string   `yaml:"name"`
	Context   int64    `yaml:"context"`
	MaxOutput int64    `yaml:"max_output"`
	Efforts   []string `yaml:"efforts"`
	Thinking  *bool    `yaml:"thinking"`
	Tools     *bool    `yaml:"tools"`
	Images    *bool    `yaml:"images"`
}

// canon returns the entry in the words of the rest of the program.
func (m Model) canon() canon.Model {
	return canon.Model{
		ID: m.ID, Name: m.Name, Context: m.Context, MaxOutput: m.MaxOutput, Efforts: slices.Clone(m.Efforts),
		Thinking: known(m.Thinking), Tools: known(m.Tools), Images: known(m.Images),
	}
}

func known(b *bool) canon.Known3 {
	switch {
	case b == nil:
		return canon.Unknown
	case *b:
		return canon.Yes
	default:
		return canon.No
	}
}

// List returns the models that are known without asking the service.
func (p Preset) List() []canon.Model {
	out := make([]canon.Model, len(p.Models.Known))
	for i, m := range p.Models.Known {
		out[i] = m.canon()
	}
	return out
}

// Limits are the token limits of models that no list tells of, by the beginning of their names. They are for show only: no
// prompt is ever cut by them.
type Limits struct {
	Match     []string `yaml:"match"`
	Context   int64    `yaml:"context"`
	MaxOutput int64    `yaml:"max_output"`
}

// file is the form of presets.yaml.
type file struct {
	AsOf    string   `yaml:"as_of"`
	Presets []Preset `yaml:"presets"`
	Limits  []Limits `yaml:"limits"`
}

// Set is all presets at hand. It is never changed once it was made.
type Set struct {
	list   []Preset
	byID   map[string]int
	limits []Limits
	facts  map[string]canon.Model // by a model's id in small letters
}

// BuiltIn returns the presets that come with this version.
func BuiltIn() *Set {
	s, err := parse(nil, "presets.yaml of this version", builtIn)
	if err != nil {
		panic(err) // a test reads the file that is built in
	}
	return s
}

// Load returns the built-in presets with those of a person's file over them. A file that is not there is no error. With an
// error the built-in ones are returned as well: a typing error must not take everybody's services away.
func Load(file string) (*Set, error) {
	s := BuiltIn()
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("reading the presets: %w", err)
	}
	own, err := parse(s, file, data)
	if err != nil {
		return s, err
	}
	return own, nil
}

// All returns the presets in the order of the file, own ones last.
func (s *Set) All() []Preset { return slices.Clone(s.list) }

// Get returns one preset.
func (s *Set) Get(id string) (Preset, bool) {
	i, ok := s.byID[id]
	if !ok {
		return Preset{}, false
	}
	return s.list[i], true
}

// Elsewhere returns the other presets of the same service and kind: a key that is refused here may belong there.
func (s *Set) Elsewhere(id string) []string {
	p, ok := s.Get(id)
	if !ok || p.Group == "" {
		return nil
	}
	var out []string
	for _, o := range s.list {
		if o.Group == p.Group && o.Kind == p.Kind && o.ID != id {
			out = append(out, o.ID)
		}
	}
	return out
}

// Assumed returns limits for show of a model whose own are not known.
func (s *Set) Assumed(model string) (context, output int64) {
	name := strings.ToLower(model)
	if i := strings.LastIndexByte(name, '/'); i >= 0 { // OpenRouter and Fireworks put the maker in front
		name = name[i+1:]
	}
	for _, l := range s.limits {
		for _, m := range l.Match {
			if provider.Match(m, name) {
				return l.Context, l.MaxOutput
			}
		}
	}
	return 0, 0
}

// Known returns what the presets know of a model by its id, of the first that knows it.
func (s *Set) Known(model string) canon.Model {
	if m, ok := s.facts[strings.ToLower(model)]; ok {
		return m
	}
	return canon.Model{ID: model}
}

// Under returns the settings of a provider with the preset below them: what the person wrote counts, quirks and headers
// are added up. A quirk written with a minus sign takes the preset's away.
func (p Preset) Under(own config.Provider) config.Provider {
	out := own
	out.Kind = p.Kind
	set := func(dst *string, v string) {
		if *dst == "" {
			*dst = v
		}
	}
	set(&out.Name, p.Name)
	set(&out.BaseURL, p.BaseURL)
	if own.AuthHeader == "" && own.AuthPrefix == "" {
		out.AuthHeader, out.AuthPrefix = p.AuthHeader, p.AuthPrefix
	}
	out.Headers = maps.Clone(p.Headers)
	for name, v := range own.Headers {
		if out.Headers == nil {
			out.Headers = map[string]string{}
		}
		out.Headers[name] = v
	}
	out.Quirks = nil
	for _, q := range p.Quirks {
		if !slices.Contains(own.Quirks, "-"+q) {
			out.Quirks = append(out.Quirks, q)
		}
	}
	for _, q := range own.Quirks {
		if !strings.HasPrefix(q, "-") {
			out.Quirks = append(out.Quirks, q)
		}
	}
	return out
}

// parse reads a file over a set, which may be nil.
func parse(base *Set, where string, data []byte) (*Set, error) {
	var f file
	fail := func(err error) error {
		return fmt.Errorf("%s: %s", where, strings.TrimSpace(yaml.FormatError(err, false, true)))
	}
	if base == nil {
		if err := yaml.UnmarshalWithOptions(data, &f, yaml.Strict()); err != nil {
			return nil, fail(err)
		}
		base = &Set{byID: map[string]int{}}
	} else {
		var err error
		if f, err = over(base, data); err != nil {
			return nil, fail(err)
		}
	}
	s := &Set{list: slices.Clone(base.list), byID: maps.Clone(base.byID), limits: append(slices.Clone(f.Limits), base.limits...), facts: map[string]canon.Model{}}
	seen := map[string]bool{}
	for _, p := range f.Presets {
		if p.AsOf == "" {
			p.AsOf = f.AsOf
		}
		if seen[p.ID] {
			return nil, fmt.Errorf("%s: the preset %q stands there twice", where, p.ID)
		}
		seen[p.ID] = true
		if err := check(p); err != nil {
			return nil, fmt.Errorf("%s: preset %q: %w", where, p.ID, err)
		}
		s.put(p)
	}
	for _, l := range f.Limits {
		for _, m := range l.Match {
			if m == "" {
				return nil, fmt.Errorf("%s: limits: a pattern is empty", where)
			}
		}
	}
	for _, p := range s.list {
		for _, m := range p.List() {
			if id := strings.ToLower(m.ID); s.facts[id].ID == "" {
				s.facts[id] = m
			}
		}
	}
	return s, nil
}

// over reads a person's file: an entry whose id is known starts as that entry and changes what it names.
func over(base *Set, data []byte) (file, error) {
	var shape struct {
		AsOf    string     `yaml:"as_of"`
		Presets []ast.Node `yaml:"presets"`
		Limits  []Limits   `yaml:"limits"`
	}
	if _, err := parser.ParseBytes(data, 0); err != nil {
		return file{}, err
	}
	if err := yaml.UnmarshalWithOptions(data, &shape, yaml.Strict()); err != nil {
		return file{}, err
	}
	f := file{AsOf: shape.AsOf, Limits: shape.Limits}
	for _, n := range shape.Presets {
		var p Preset
		if err := yaml.NodeToValue(n, &p, yaml.Strict()); err != nil {
			return file{}, err
		}
		if known, ok := base.Get(p.ID); ok {
			p = known
			if err := yaml.NodeToValue(n, &p, yaml.Strict()); err != nil {
				return file{}, err
			}
		}
		f.Presets = append(f.Presets, p)
	}
	return f, nil
}

// put adds, replaces or takes away a preset.
func (s *Set) put(p Preset) {
	i, known := s.byID[p.ID]
	switch {
	case p.Remove && known:
		s.list = slices.Delete(s.list, i, i+1)
		s.byID = map[string]int{}
		for j, o := range s.list {
			s.byID[o.ID] = j
		}
	case p.Remove:
	case known:
		s.list[i] = p
	default:
		s.byID[p.ID] = len(s.list)
		s.list = append(s.list, p)
	}
}

// check says what is wrong with an entry.
func check(p Preset) error {
	switch {
	case !config.ValidID(p.ID):
		return errors.New("id: an id consists of small letters, digits and '-'")
	case config.Reserved(p.ID):
		hint := ""
		if p.ID == "ollama" {
			hint = ", for example local-ollama"
		}
		return fmt.Errorf("id: %q is a reserved word: choose another id%s", p.ID, hint)
	case p.Remove:
		return nil
	case p.Name == "":
		return errors.New("name is missing")
	case !slices.Contains(config.Kinds, p.Kind):
		return fmt.Errorf("kind: %q is no kind of provider: use one of %s", p.Kind, strings.Join(config.Kinds, ", "))
	case p.BaseURL == "" && p.Example == "":
		return errors.New("base_url is missing; where each person has an address of their own, give an example instead")
	case p.BaseURL != "" && !address(p.BaseURL):
		return fmt.Errorf("base_url: %q does not start with https:// or http://", p.BaseURL)
	case p.Models.List != ListLive && p.Models.List != ListStatic && p.Kind != "forward":
		return fmt.Errorf("models.list: this is live or static, not %q", p.Models.List)
	case p.Models.URL != "" && !strings.HasPrefix(p.Models.URL, "/"):
		return errors.New("models.url: this is a path on the host of base_url: it starts with /")
	}
	for _, pattern := range slices.Concat(p.Models.Only, p.Models.Hide) {
		if pattern == "" {
			return errors.New("models: a pattern is empty")
		}
	}
	for i, m := range p.Models.Known {
		if m.ID == "" {
			return fmt.Errorf("models.known[%d].id is missing", i)
		}
	}
	return nil
}

func address(s string) bool {
	return strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://")
}
