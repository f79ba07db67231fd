package gemini

import (
	"maps"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/wire"
)

// writer appends JSON and puts the commas itself.
type writer struct{ b []byte }

// sep puts a comma where one belongs: after a value, never at the start of a container and never after a name.
func (w *writer) sep() {
	if n := len(w.b); n > 0 {
		switch w.b[n-1] {
		case '{', '[', ':', ' ', '\n':
		default:
			w.b = append(w.b, ',')
		}
	}
}

// open starts an object or array as a value.
func (w *writer) open(c byte) {
	w.sep()
	w.b = append(w.b, c)
}

func (w *writer) close(c byte) { w.b = append(w.b, c) }

// key writes a member's name.
func (w *writer) key(name string) {
	w.sep()
	w.b = wire.AppendString(w.b, name)
	w.b = append(w.b, ':')
}

// begin writes a member's name and starts its object or array.
func (w *writer) begin(name string, c byte) {
	w.key(name)
	w.b = append(w.b, c)
}

func (w *writer) str(name, v string) {
	w.key(name)
	w.b = wire.AppendString(w.b, v)
}

// opt writes a string member unless it is empty.
func (w *writer) opt(name, v string) {
	if v != "" {
		w.str(name, v)
	}
}

func (w *writer) int(name string, v int64) {
	w.key(name)
	w.b = strconv.AppendInt(w.b, v, 10)
}

// optInt writes a number that is known.
func (w *writer) optInt(name string, v *int64) {
	if v != nil {
		w.int(name, *v)
	}
}

func (w *writer) float(name string, v *float64) {
	if v != nil {
		w.key(name)
		w.b = appendFloat(w.b, *v)
	}
}

func (w *writer) bool(name string, v bool) {
	w.key(name)
	w.b = strconv.AppendBool(w.b, v)
}

func (w *writer) raw(name string, v jsontext.Value) {
	w.key(name)
	w.b = append(w.b, v...)
}

// value writes raw JSON as an element of an array.
func (w *writer) value(v []byte) {
	w.sep()
	w.b = append(w.b, v...)
}

// text writes a string as an element of an array.
func (w *writer) text(s string) {
	w.sep()
	w.b = wire.AppendString(w.b, s)
}

// ext writes members that were kept for this format, in the order of their names, except private ones and those in skip.
func (w *writer) ext(ext map[string]jsontext.Value, skip ...string) {
	for _, name := range slices.Sorted(maps.Keys(ext)) {
		if name == "" || name[0] == '$' || len(ext[name]) == 0 || slices.Contains(skip, name) {
			continue
		}
		w.raw(name, ext[name])
	}
}

func appendFloat(b []byte, f float64) []byte {
	v, err := jsontext.AppendFormat(b, strconv.AppendFloat(nil, f, 'g', -1, 64), jsontext.CanonicalizeRawFloats(true))
	if err != nil { // no JSON number: not a number or infinite
		return append(b, '0')
	}
	return v
}
