package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// SourceKind says where a setting's value comes from.
type SourceKind string

// The kinds, the weakest first.
const (
	FromDefault SourceKind = "default"
	FromFile    SourceKind = "file"
	FromEnv     SourceKind = "environment"
	FromFlag    SourceKind = "flag"
)

// Source says where a setting's value comes from.
type Source struct {
	Kind SourceKind
	Name string // path of the file, name of the variable or flag
	Line int    // in the file
}

// ServeFlags maps the flags of the command serve to the settings that they replace.
var ServeFlags = map[string]string{"listen": "server.listen", "default-provider": "default_provider"}

// override is a value from a flag or the environment. It wins over the file.
type override struct {
	path   []string
	value  reflect.Value
	source Source
}

// environmentOnly are variables that are no settings.
var environmentOnly = []string{"PATCHBAY_HOME", "PATCHBAY_VAULT_KEY", "PATCHBAY_KEYRING"}

// overrides reads the flags and the variables that are settings. Variables that are none are returned by name: they are
// told, not refused, because a cluster makes its own (PATCHBAY_PORT and PATCHBAY_SERVICE_HOST for a service of that name).
func overrides(env []string, flags map[string]string) (map[string]override, []string, error) {
	out := map[string]override{}
	var unknown []string
	var errs errorList
	add := func(key, text string, src Source) {
		path, t, err := locate(key)
		if err != nil || group(t) {
			errs = append(errs, &Error{Key: key, Msg: "there is no such setting", Where: src.Name})
			return
		}
		v, err := parseValue(t, text, src.Name, path)
		if err != nil {
			errs = append(errs, Errors(err)...)
			return
		}
		out[strings.Join(path, ".")] = override{path, v, src}
	}
	for _, pair := range env {
		name, text, _ := strings.Cut(pair, "=")
		rest, ok := strings.CutPrefix(name, "PATCHBAY_")
		// Compose files set what they do not know to nothing.
		if !ok || text == "" || slices.Contains(environmentOnly, name) || strings.HasPrefix(rest, "TEST_") {
			continue
		}
		if key, ok := keyOfVariable(rest); ok {
			add(key, text, Source{Kind: FromEnv, Name: name})
		} else {
			unknown = append(unknown, name)
		}
	}
	for key, text := range flags {
		add(key, text, Source{Kind: FromFlag, Name: "--" + flagOf(key)})
	}
	return out, unknown, errs.join()
}

func flagOf(key string) string {
	for flag, k := range ServeFlags {
		if k == key {
			return flag
		}
	}
	return key
}

// keyOfVariable turns what follows PATCHBAY_ into a key. A provider's id may hold '-', which a variable's name cannot:
// PROVIDERS_HOME_OLLAMA_BASE_URL is providers.home-ollama.base_url.
func keyOfVariable(name string) (string, bool) {
	if rest, ok := strings.CutPrefix(name, "PROVIDERS_"); ok {
		return providerKey(rest)
	}
	return leafKey(reflect.TypeFor[Config](), name)
}

// leafKey finds the leaf below t whose path, joined by '_', is name in upper case.
func leafKey(t reflect.Type, name string) (string, bool) {
	for i, field := range fieldNames(t) {
		upper := strings.ToUpper(field)
		ft := t.Field(i).Type
		if name == upper && !group(ft) && field != "schema_version" {
			return field, true
		}
		if rest, ok := strings.CutPrefix(name, upper+"_"); ok && ft.Kind() == reflect.Struct {
			if key, ok := leafKey(ft, rest); ok {
				return field + "." + key, true
			}
		}
	}
	return "", false
}

// providerKey splits ID_SETTING at the leftmost place where the rest is a setting, so that the longest one counts:
// X_AUTH_HEADER is auth_header of x.
func providerKey(name string) (string, bool) {
	for i := 1; i < len(name)-1; i++ {
		if name[i] != '_' {
			continue
		}
		if key, ok := leafKey(reflect.TypeFor[Provider](), name[i+1:]); ok {
			id := strings.ToLower(strings.ReplaceAll(name[:i], "_", "-"))
			return "providers." + id + "." + key, true
		}
	}
	return "", false
}

// Variable returns the name of the environment variable of a setting, "" for an entry of a plain map.
func Variable(key string) string {
	_, t, err := locate(key)
	if err != nil || group(t) {
		return ""
	}
	name := strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
	if back, ok := keyOfVariable(name); !ok || back != key {
		return ""
	}
	return "PATCHBAY_" + name
}

// overlay puts the overrides on a copy of c.
func overlay(c *Config, over map[string]override) *Config {
	out := clone(c)
	for _, o := range over {
		assign(reflect.ValueOf(out).Elem(), o.path, deepCopy(o.value))
	}
	return out
}

// overriding returns the override that decides key, or a group or map around it.
func overriding(over map[string]override, key string) (override, bool) {
	for {
		if o, ok := over[key]; ok {
			return o, true
		}
		i := strings.LastIndexByte(key, '.')
		if i < 0 {
			return override{}, false
		}
		key = key[:i]
	}
}

// errOverridden tells that a change of key would have no effect.
func errOverridden(key string, src Source) error {
	return &Error{Key: key, Msg: fmt.Sprintf("this is set by the %s %s and cannot be changed here: take it away there first", src.Kind, src.Name)}
}
