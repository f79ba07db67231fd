package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The struct tags of Config are the schema. A key is the path of yaml names with dots: "server.limits.body_bytes". The
// entries of a plain map may hold dots themselves ("routing.aliases.gpt-4.1"): what is left of the key is the entry.

// Size counts bytes. It is written "64MiB", "512KB" or as a plain number.
type Size int64

var sizeUnits = []struct {
	name string
	n    int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1}}

// String returns the size in the largest unit that divides it.
func (s Size) String() string {
	for _, u := range sizeUnits[:3] {
		if s != 0 && int64(s)%u.n == 0 {
			return strconv.FormatInt(int64(s)/u.n, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

func parseSize(text string) (Size, error) {
	unit := int64(1)
	num := text
	for _, u := range sizeUnits {
		if n := len(num) - len(u.name); n > 0 && strings.EqualFold(num[n:], u.name) {
			num, unit = strings.TrimSpace(num[:n]), u.n
			break
		}
	}
	n, err := strconv.ParseInt(num, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return 0, fmt.Errorf("%q is no size: write a number of bytes, or 64MiB", text)
	}
	return Size(n * unit), nil
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	sizeType     = reflect.TypeFor[Size]()
)

// fieldNamed returns the index of the field with a yaml name, -1 if there is none.
func fieldNamed(t reflect.Type, name string) int {
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("yaml") == name {
			return i
		}
	}
	return -1
}

func fieldNames(t reflect.Type) []string {
	names := make([]string, t.NumField())
	for i := range names {
		names[i] = t.Field(i).Tag.Get("yaml")
	}
	return names
}

// plainMap reports whether t is a map of leaves, such as aliases.
func plainMap(t reflect.Type) bool {
	return t.Kind() == reflect.Map && t.Elem().Kind() != reflect.Struct
}

// group reports whether t has settings below it that are no leaves.
func group(t reflect.Type) bool {
	return t.Kind() == reflect.Struct || t.Kind() == reflect.Map && !plainMap(t)
}

// locate splits a key by the schema and returns the type of what it names.
func locate(key string) (path []string, t reflect.Type, err error) {
	t = reflect.TypeFor[Config]()
	for rest, more := key, true; more; {
		var name string
		if plainMap(t) {
			name, more = rest, false
		} else {
			name, rest, more = strings.Cut(rest, ".")
		}
		switch {
		case name == "":
			return nil, nil, &Error{Key: key, Msg: "a part of the setting's name is empty"}
		case t.Kind() == reflect.Map:
			t = t.Elem()
		case t.Kind() == reflect.Struct:
			i := fieldNamed(t, name)
			if i < 0 {
				return nil, nil, &Error{Key: key, Msg: unknownMsg(name, t)}
			}
			t = t.Field(i).Type
		default:
			return nil, nil, &Error{Key: key, Msg: "there is no such setting"}
		}
		path = append(path, name)
	}
	return path, t, nil
}

// lookup returns what stands at path, the zero Value if a map has no such entry.
func lookup(v reflect.Value, path []string) reflect.Value {
	for _, name := range path {
		if v.Kind() == reflect.Map {
			v = v.MapIndex(reflect.ValueOf(name))
		} else {
			v = v.Field(fieldNamed(v.Type(), name))
		}
		if !v.IsValid() {
			return v
		}
	}
	return v
}

// assign puts val at path, making map entries on the way. An invalid val removes a map entry and empties a field.
func assign(v reflect.Value, path []string, val reflect.Value) {
	if len(path) == 0 {
		if val.IsValid() {
			v.Set(val)
		} else {
			v.SetZero()
		}
		return
	}
	if v.Kind() == reflect.Struct {
		assign(v.Field(fieldNamed(v.Type(), path[0])), path[1:], val)
		return
	}
	name := reflect.ValueOf(path[0])
	if len(path) == 1 && !val.IsValid() {
		v.SetMapIndex(name, val)
		return
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	entry := reflect.New(v.Type().Elem()).Elem()
	if old := v.MapIndex(name); old.IsValid() {
		entry.Set(old)
	}
	assign(entry, path[1:], val)
	v.SetMapIndex(name, entry)
}

// clone copies a configuration in depth.
func clone(c *Config) *Config {
	out := reflect.New(reflect.TypeFor[Config]()).Elem()
	out.Set(deepCopy(reflect.ValueOf(*c)))
	cfg := out.Interface().(Config)
	return &cfg
}

// deepCopyOf is deepCopy for a value that may be missing.
func deepCopyOf(v reflect.Value) reflect.Value {
	if !v.IsValid() {
		return v
	}
	return deepCopy(v)
}

func deepCopy(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	switch {
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			out.Field(i).Set(deepCopy(v.Field(i)))
		}
	case v.Kind() == reflect.Map && !v.IsNil():
		out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
		for _, k := range v.MapKeys() {
			out.SetMapIndex(k, deepCopy(v.MapIndex(k)))
		}
	case v.Kind() == reflect.Slice && !v.IsNil():
		out.Set(reflect.AppendSlice(reflect.MakeSlice(v.Type(), 0, v.Len()), v))
	case v.Kind() == reflect.Pointer && !v.IsNil():
		out.Set(reflect.New(v.Type().Elem()))
		out.Elem().Set(v.Elem())
	default:
		out.Set(v)
	}
	return out
}

// leaf is one setting with its value.
type leaf struct {
	path  []string
	value reflect.Value
}

func (l leaf) key() string { return strings.Join(l.path, ".") }

// flatten lists the settings of c by key. Of a map's entries only what is not empty counts, so that an entry can be
// compared with one that does not say the same default.
func flatten(c *Config) map[string]leaf {
	out := map[string]leaf{}
	flattenInto(out, nil, reflect.ValueOf(*c), false)
	return out
}

func flattenInto(out map[string]leaf, path []string, v reflect.Value, entry bool) {
	switch {
	case v.Kind() == reflect.Struct:
		for i, name := range fieldNames(v.Type()) {
			flattenInto(out, append(slices.Clip(path), name), v.Field(i), entry)
		}
	case v.Kind() == reflect.Map:
		for _, k := range v.MapKeys() {
			flattenInto(out, append(slices.Clip(path), k.String()), v.MapIndex(k), group(v.Type()))
		}
	case entry && (v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0):
	default:
		l := leaf{path, v}
		out[l.key()] = l
	}
}

// sameValue compares two leaves; nil and empty lists are the same.
func sameValue(a, b reflect.Value) bool {
	if a.Kind() == reflect.Slice && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

// parseLeaf reads a scalar setting from text.
func parseLeaf(t reflect.Type, text string) (reflect.Value, error) {
	v := reflect.New(t).Elem()
	switch {
	case t == durationType:
		d, err := parseDuration(text)
		v.SetInt(int64(d))
		return v, err
	case t == sizeType:
		s, err := parseSize(text)
		v.SetInt(int64(s))
		return v, err
	case t.Kind() == reflect.String:
		v.SetString(text)
	case t.Kind() == reflect.Bool:
		b, err := parseBool(text)
		v.SetBool(b)
		return v, err
	case t.Kind() == reflect.Pointer:
		b, err := parseLeaf(t.Elem(), text)
		v.Set(reflect.New(t.Elem()))
		v.Elem().Set(b)
		return v, err
	case t.Kind() == reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return v, fmt.Errorf("%q is no whole number", text)
		}
		v.SetInt(int64(n))
	default:
		return v, fmt.Errorf("%s is expected here", describe(t))
	}
	return v, nil
}

func parseDuration(text string) (time.Duration, error) {
	switch strings.ToLower(text) {
	case "off", "0", "none", "false":
		return 0, nil
	}
	d, err := time.ParseDuration(strings.ReplaceAll(text, " ", ""))
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no length of time: write 30s, 5m or off", text)
	}
	return d, nil
}

func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", text)
}

func describe(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Slice:
		return "a list"
	case t.Kind() == reflect.Map, t.Kind() == reflect.Struct:
		return "a group of settings (name: value)"
	default:
		return "a single value"
	}
}

// render writes a leaf as YAML on one line.
func render(v reflect.Value) string {
	switch {
	case v.Kind() == reflect.Pointer:
		return render(v.Elem())
	case v.Type() == durationType:
		return formatDuration(time.Duration(v.Int()))
	case v.Kind() == reflect.String:
		return quote(v.String())
	case v.Kind() == reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = render(v.Index(i))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case v.Kind() == reflect.Map:
		items := make([]string, 0, v.Len())
		for _, k := range slices.Sorted(maps.Keys(keysOf(v))) {
			items = append(items, quoteName(k)+": "+render(v.MapIndex(reflect.ValueOf(k))))
		}
		return "{" + strings.Join(items, ", ") + "}"
	default:
		return fmt.Sprint(v.Interface())
	}
}

func keysOf(v reflect.Value) map[string]struct{} {
	out := map[string]struct{}{}
	for _, k := range v.MapKeys() {
		out[k.String()] = struct{}{}
	}
	return out
}

func formatDuration(d time.Duration) string {
	if d == 0 {
		return "off"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// quote writes a text so that YAML reads the same text, plainly where that is safe.
func quote(s string) string {
	if plainSafe(s) {
		return s
	}
	return strconv.Quote(s) // Go's escapes are a part of YAML's
}

// quoteName is quote for the name before a colon, in which a further colon would be misread.
func quoteName(s string) string {
	if strings.Contains(s, ":") {
		return strconv.Quote(s)
	}
	return quote(s)
}

func plainSafe(s string) bool {
	switch strings.ToLower(s) {
	case "", "true", "false", "null", "yes", "no", "on", "off", "~", ".nan", ".inf":
		return false
	}
	first := s[0]
	if !(first >= 'a' && first <= 'z' || first >= 'A' && first <= 'Z' || first == '/') || s[len(s)-1] == ':' {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:+@*", r))
	})
}
