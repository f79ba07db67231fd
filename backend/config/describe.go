package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"patchbay/backend/logging"
)

// Field is one setting, described for people who change it.
type Field struct {
	Key      string
	Section  string // of the settings page
	Kind     string // text, switch, number, duration, size, list, map, lists (a map of lists)
	About    string
	Unit     string
	Allowed  []string // the only values; empty = any
	Value    any      // in force: a string, bool or int, a []string, or a map of strings or of []string; nil = not set
	Default  any
	Source   Source
	Variable string // of the environment
}

// note is what the schema does not say about a setting.
type note struct {
	about   string
	unit    string
	allowed []string
}

// Describe returns the settings in force, each with all that a form needs. Of providers it gives those of the one that is
// named, whether the file has any or not; for "" those that the file or an override has.
func (s *Settings) Describe(providerID string) []Field {
	st := s.current.Load()
	d := describer{settings: s, state: st}
	if providerID != "" {
		p := st.cfg.Providers[providerID]
		d.walk([]string{"providers", providerID}, reflect.ValueOf(p), reflect.ValueOf(Provider{}))
		return d.out
	}
	d.walk(nil, reflect.ValueOf(*st.cfg), reflect.ValueOf(*Default()))
	return d.out
}

type describer struct {
	settings *Settings
	state    *state
	out      []Field
}

func (d *describer) walk(path []string, v, def reflect.Value) {
	switch {
	case v.Kind() == reflect.Struct:
		for i, name := range fieldNames(v.Type()) {
			if name != "schema_version" {
				d.walk(append(slices.Clip(path), name), v.Field(i), def.Field(i))
			}
		}
	case group(v.Type()): // a map of groups
		for _, id := range slices.Sorted(maps.Keys(keysOf(v))) {
			d.walk(append(slices.Clip(path), id), v.MapIndex(reflect.ValueOf(id)), reflect.Zero(v.Type().Elem()))
		}
	default:
		key := strings.Join(path, ".")
		n := notes[pattern(path)]
		f := Field{
			Key: key, Section: sectionOf(path), Kind: kindOf(v.Type()), About: n.about, Unit: n.unit, Allowed: n.allowed,
			Value: plain(v), Default: plain(def), Source: d.settings.source(key, d.state), Variable: Variable(key),
		}
		if plainMap(v.Type()) && f.Source.Kind == FromDefault && v.Len() > 0 {
			f.Source.Kind = FromFile // the entries have their lines, the whole may have none
		}
		d.out = append(d.out, f)
	}
}

// pattern is the key with * in place of names that people choose.
func pattern(path []string) string {
	if path[0] == "providers" || path[0] == "prompts" {
		path = slices.Clone(path)
		path[1] = "*"
	}
	return strings.Join(path, ".")
}

func kindOf(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return kindOf(t.Elem())
	case t == durationType:
		return "duration"
	case t == sizeType:
		return "size"
	case t.Kind() == reflect.Bool:
		return "switch"
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int64, t.Kind() == reflect.Float64:
		return "number"
	case t.Kind() == reflect.Slice:
		return "list"
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Slice:
		return "lists"
	case t.Kind() == reflect.Map:
		return "map"
	default:
		return "text"
	}
}

// plain returns a setting as JSON shows it, in the form in which Change takes it. Passwords in addresses are taken out.
func plain(v reflect.Value) any {
	switch {
	case v.Kind() == reflect.Pointer && v.IsNil():
		return nil
	case v.Kind() == reflect.Pointer:
		return plain(v.Elem())
	case v.Type() == durationType:
		return formatDuration(time.Duration(v.Int()))
	case v.Type() == sizeType:
		return Size(v.Int()).String()
	case v.Kind() == reflect.String:
		return logging.Redact(v.String())
	case v.Kind() == reflect.Slice:
		out := make([]any, v.Len())
		for i := range out {
			out[i] = plain(v.Index(i))
		}
		return out
	case v.Kind() == reflect.Map:
		out := map[string]any{}
		for _, k := range v.MapKeys() {
			out[k.String()] = plain(v.MapIndex(k))
		}
		return out
	default:
		return v.Interface()
	}
}

// Change sets many settings at once, all of them or none, and saves them into the file. A value is what Describe gives, or
// text as in the environment; nil takes the setting, or the group, out of the file, so that its default counts again. A
// group is given as a map of its settings.
func (s *Settings) Change(values map[string]any) error {
	c := changes{}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if err := c.add(key, values[key]); err != nil {
			return err
		}
	}
	return s.change(c.apply, c.plan)
}

// changes are settings that are to be set, or unset where value is not valid.
type changes []leaf

func (c *changes) add(key string, value any) error {
	path, t, err := locate(key)
	if err != nil {
		return err
	}
	if key == "schema_version" {
		return &Error{Key: key, Msg: "this tells which version of Patchbay wrote the file and is not set by hand"}
	}
	if value == nil {
		*c = append(*c, leaf{path: path})
		return nil
	}
	if members, ok := value.(map[string]any); ok && group(t) {
		for _, name := range slices.Sorted(maps.Keys(members)) {
			if err := c.add(key+"."+name, members[name]); err != nil {
				return err
			}
		}
		return nil
	}
	if group(t) {
		return &Error{Key: key, Msg: "this is a group of settings: give an object, or change a single setting in it"}
	}
	text, err := asText(t, value)
	if err != nil {
		return &Error{Key: key, Msg: err.Error()}
	}
	v, err := parseValue(t, text, "", path)
	if err != nil {
		return err
	}
	*c = append(*c, leaf{path, v})
	return nil
}

// asText writes a JSON value as the text that the environment would have for it.
func asText(t reflect.Type, value any) (string, error) {
	list, isMap := kindOf(t) == "list", plainMap(t)
	switch v := value.(type) {
	case string:
		if isMap {
			return "", fmt.Errorf("an object of names and values is expected here")
		}
		return v, nil
	case bool, float64, int, int64:
		if list || isMap {
			return "", fmt.Errorf("%s is expected here", describe(t))
		}
		return fmt.Sprint(v), nil
	case []any, []string:
		if !list {
			return "", fmt.Errorf("%s is expected here", describe(t))
		}
	case map[string]any, map[string]string:
		if !isMap {
			return "", fmt.Errorf("%s is expected here", describe(t))
		}
	default:
		return "", fmt.Errorf("%s is expected here", describe(t))
	}
	b, err := json.Marshal(value, json.Deterministic(true)) // JSON is YAML too
	return string(b), err
}

func (c changes) apply(cfg *Config) error {
	for _, l := range c {
		v := l.value
		if !v.IsValid() {
			if !lookup(reflect.ValueOf(*cfg), l.path).IsValid() {
				continue // there is no such entry
			}
			v = deepCopyOf(lookup(reflect.ValueOf(*Default()), l.path))
		}
		assign(reflect.ValueOf(cfg).Elem(), l.path, v)
	}
	return nil
}

// plan takes out what is unset and writes what is set. What is named is written even where it is the default already.
func (c changes) plan(old *state, want *Config) []leaf {
	var edits []leaf
	within := func(path, whole []string) bool {
		return len(path) >= len(whole) && slices.Equal(path[:len(whole)], whole)
	}
	diff := difference(old, want)
	for _, l := range c {
		_, written := old.lines[l.key()]
		switch {
		case !l.value.IsValid() && written:
			edits = append(edits, leaf{path: l.path})
		case l.value.IsValid() && !written && !plainMap(l.value.Type()) && !slices.ContainsFunc(diff, func(e leaf) bool { return within(e.path, l.path) }):
			edits = append(edits, pin(nil, old, want, l.path)...)
		}
	}
	for _, e := range diff {
		if !slices.ContainsFunc(c, func(l leaf) bool { return !l.value.IsValid() && within(e.path, l.path) }) {
			edits = append(edits, e)
		}
	}
	return edits
}
