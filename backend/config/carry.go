package config

import (
	"errors"
	"reflect"
)

// Chosen returns the settings that the file sets to something else than their defaults, by key, as Adopt takes them.
func (s *Settings) Chosen() map[string]string {
	out := map[string]string{}
	defaults := flatten(Default())
	for key, l := range flatten(s.current.Load().file) {
		if d, ok := defaults[key]; ok && sameValue(d.value, l.value) {
			continue
		}
		if l.value.Kind() == reflect.String {
			out[key] = l.value.String()
		} else {
			out[key] = render(l.value)
		}
	}
	return out
}

// Adopt sets settings from another place, all of them or none, and saves them into the file.
func (s *Settings) Adopt(values map[string]string) error {
	return s.Update(func(c *Config) error {
		var errs []error
		for key, text := range values {
			path, t, err := locate(key)
			if err == nil && group(t) {
				err = &Error{Key: key, Msg: "this is a group of settings"}
			}
			if err != nil {
				errs = append(errs, err)
				continue
			}
			v, err := parseValue(t, text, "", path)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			assign(reflect.ValueOf(c).Elem(), path, v)
		}
		return errors.Join(errs...)
	})
}
