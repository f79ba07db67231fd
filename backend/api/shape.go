package api

import (
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"

	"patchbay/backend/secret"
)

// A field is one JSON member of a struct.
type field struct {
	name     string
	typ      reflect.Type
	optional bool     // it may be missing
	nullable bool     // it may be null
	oneOf    []string // the values that it may have, if it says so by the tag oneof
}

// fieldsOf lists the members of a struct as json writes them, those of embedded structs among them.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for f := range t.Fields() {
		tag, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && tag == "":
			out = append(out, fieldsOf(f.Type)...)
		case !f.IsExported() || tag == "-":
		default:
			optional := strings.Contains(opts, "omit")
			typ, pointer := f.Type, f.Type.Kind() == reflect.Pointer
			if pointer {
				typ = typ.Elem()
			}
			fd := field{name: tag, typ: typ, optional: optional, nullable: pointer && !optional}
			if fd.name == "" {
				fd.name = f.Name
			}
			if list := f.Tag.Get("oneof"); list != "" {
				fd.oneOf = strings.Split(list, ",")
			}
			out = append(out, fd)
		}
	}
	return out
}

// scalar says how types with a form of their own are written: a JSON type and its format.
func scalar(t reflect.Type) (kind, format string, ok bool) {
	switch t {
	case reflect.TypeFor[time.Time]():
		return "string", "date-time", true
	case reflect.TypeFor[secret.Value]():
		return "string", "password", true
	case reflect.TypeFor[[]byte]():
		return "string", "base64", true
	}
	switch t.Kind() {
	case reflect.String:
		return "string", "", true
	case reflect.Bool:
		return "boolean", "", true
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Uint64, reflect.Uint32, reflect.Uint16:
		return "integer", "", true
	case reflect.Float64:
		return "number", "", true
	default:
		return "", "", false
	}
}

// isAny reports whether a value may be any JSON.
func isAny(t reflect.Type) bool {
	return t.Kind() == reflect.Interface || t.PkgPath() == "github.com/go-json-experiment/json/jsontext"
}

// nameOf returns the name under which a struct is described; "" for one that is described where it stands.
func nameOf(t reflect.Type) string {
	n := t.Name()
	if t.Kind() != reflect.Struct || n == "" || strings.Contains(n, "[") || unicode.IsLower(rune(n[0])) {
		return ""
	}
	return n
}

// walk calls visit for every named struct that can be reached from t, each once.
func walk(t reflect.Type, seen map[reflect.Type]bool, visit func(reflect.Type)) {
	if t == nil || seen[t] {
		return
	}
	if _, _, ok := scalar(t); ok || isAny(t) {
		return
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Struct:
		if nameOf(t) != "" {
			visit(t)
		}
		for _, f := range fieldsOf(t) {
			walk(f.typ, seen, visit)
		}
	case reflect.Slice, reflect.Pointer, reflect.Map, reflect.Array:
		walk(t.Elem(), seen, visit)
	default:
		panic(fmt.Sprintf("api: %s cannot be described", t)) // a test describes every call
	}
}

// models returns every named struct of the API by its name.
func models() map[string]reflect.Type {
	out := map[string]reflect.Type{}
	seen := map[reflect.Type]bool{}
	take := func(t reflect.Type) {
		if other, ok := out[nameOf(t)]; ok && other != t {
			panic(fmt.Sprintf("api: %s and %s have one name", t, other)) // a test describes every call
		}
		out[nameOf(t)] = t
	}
	for _, e := range endpoints {
		walk(e.takes, seen, take)
		walk(e.gives, seen, take)
	}
	walk(of[Failure](), seen, take)
	return out
}
