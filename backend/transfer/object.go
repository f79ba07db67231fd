package transfer

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/logging"
)

// object is a JSON object of another program. Such programs write the same member as a number, a text or null, so it is read
// by what is there; what nobody asked for can be named afterwards.
type object struct {
	m    map[string]jsontext.Value
	used map[string]bool
}

var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// objectOf reads an object; ok is false for anything else.
func objectOf(v jsontext.Value) (o object, ok bool) {
	if v.Kind() != '{' || json.Unmarshal(v, &o.m, lenient) != nil {
		return object{}, false
	}
	o.used = make(map[string]bool, len(o.m))
	return o, true
}

func (o object) has(names ...string) bool {
	for _, n := range names {
		if v, ok := o.m[n]; !ok || v.Kind() == 'n' {
			return false
		}
	}
	return true
}

func (o object) hasAny(names ...string) bool {
	for _, n := range names {
		if o.has(n) {
			return true
		}
	}
	return false
}

// text returns a member as text: a string without the space around it, or a number.
func (o object) text(name string) string {
	o.used[name] = true
	v := o.m[name]
	switch v.Kind() {
	case '"':
		var s string
		if json.Unmarshal(v, &s, lenient) != nil {
			return ""
		}
		return strings.TrimSpace(s)
	case '0':
		return string(v)
	}
	return ""
}

func (o object) first(names ...string) string {
	var out string
	for _, n := range names {
		if s := o.text(n); out == "" {
			out = s
		}
	}
	return out
}

func (o object) number(name string, otherwise int) int {
	n, err := strconv.ParseFloat(o.text(name), 64)
	if err != nil || n != n || n < -1e9 || n > 1e9 {
		return otherwise
	}
	return int(n)
}

func (o object) yes(name string) bool {
	o.used[name] = true
	return o.m[name].Kind() == 't' || strings.EqualFold(o.text(name), "true")
}

func (o object) list(name string) []jsontext.Value {
	o.used[name] = true
	var out []jsontext.Value
	if v := o.m[name]; v.Kind() != '[' || json.Unmarshal(v, &out, lenient) != nil {
		return nil
	}
	return out
}

// texts returns a list of texts, or a comma list.
func (o object) texts(name string) []string {
	var out []string
	for _, v := range o.list(name) {
		one := object{m: map[string]jsontext.Value{"": v}, used: map[string]bool{}}
		if s := one.text(""); s != "" {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		for s := range strings.SplitSeq(o.text(name), ",") {
			if s = strings.TrimSpace(s); s != "" {
				out = append(out, s)
			}
		}
	}
	return out
}

func (o object) object(name string) object {
	o.used[name] = true
	in, ok := objectOf(o.m[name])
	if !ok {
		return object{m: map[string]jsontext.Value{}, used: map[string]bool{}}
	}
	return in
}

// objects returns the objects of a list.
func (o object) objects(name string) []object {
	var out []object
	for _, v := range o.list(name) {
		if in, ok := objectOf(v); ok {
			out = append(out, in)
		}
	}
	return out
}

// millis reads a moment: RFC 3339, or a number of seconds or milliseconds. 0 = there is none.
func (o object) millis(name string) int64 {
	text := o.text(name)
	if n, err := strconv.ParseFloat(text, 64); err == nil && n > 0 && n < 1e14 {
		if n < 1e10 { // seconds, until the year 2286
			n *= 1000
		}
		return int64(n)
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t.UnixMilli()
	}
	return 0
}

// shownName is a name from a file in a form that may stand in a report: short, and made of what names are made of. A secret in
// a place where a name belongs is not shown.
func shownName(s string) string {
	ok := s != "" && len(s) <= 60 && logging.Redact(s) == s && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_. /:@+[]()", r))
	})
	if !ok {
		return "(not shown)"
	}
	return s
}

// compact returns the value on one line, as it is.
func compact(v any) []byte {
	b, err := json.Marshal(v, json.Deterministic(true), lenient)
	if err != nil {
		return nil
	}
	return bytes.TrimSpace(b)
}
