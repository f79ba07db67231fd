package logging

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Line is one entry of the log, already redacted.
type Line struct {
	Seq     uint64 // grows by one per line
	Time    time.Time
	Level   string
	Package string
	Msg     string
	Attrs   []Attr
}

// Attr is one attribute of a line. Groups stand in Key with dots.
type Attr struct{ Key, Value string }

// appendText renders the line for people: time, level, message, attributes.
func (l Line) appendText(b []byte) []byte {
	b = l.Time.AppendFormat(b, "2006-01-02 15:04:05.000")
	b = append(b, ' ')
	b = append(b, strings.ToUpper(l.Level)...)
	for range 6 - len(l.Level) {
		b = append(b, ' ')
	}
	b = append(b, oneLine(l.Msg)...)
	if l.Package != "" {
		b = appendAttr(b, PackageKey, l.Package)
	}
	for _, a := range l.Attrs {
		b = appendAttr(b, a.Key, a.Value)
	}
	return append(b, '\n')
}

func appendAttr(b []byte, key, value string) []byte {
	b = append(b, ' ')
	b = append(b, oneLine(key)...)
	b = append(b, '=')
	if value == "" || strings.ContainsFunc(value, needsQuote) {
		return strconv.AppendQuote(b, value)
	}
	return append(b, value...)
}

func needsQuote(r rune) bool { return r <= ' ' || r == '"' || r == '=' || r == 0x7f }

// oneLine keeps a message on one line, so that nobody can forge lines of the file.
func oneLine(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return s
	}
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}

// handler turns slog records into redacted lines.
type handler struct {
	log    *Log
	pkg    string
	prefix string // open groups, with dots
	attrs  []Attr // redacted already
	hidden bool   // an open group has a name on the list: everything in it is secret
}

var _ slog.Handler = (*handler)(nil)

// Enabled reports whether the package's level lets the line through.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.log.levels.Load().of(h.pkg)
}

// Handle redacts one record and hands it to ring, text and file.
func (h *handler) Handle(_ context.Context, r slog.Record) error {
	line := Line{Time: r.Time, Level: levelName(r.Level), Package: h.pkg, Msg: Redact(r.Message), Attrs: slices.Clip(h.attrs)}
	if line.Time.IsZero() {
		line.Time = time.Now()
	}
	r.Attrs(func(a slog.Attr) bool {
		line.Attrs = appendRedacted(line.Attrs, h.prefix, a, h.hidden)
		return true
	})
	h.log.emit(line)
	return nil
}

// WithAttrs returns a handler that adds attrs to every line. The attribute PackageKey names the package.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.attrs = slices.Clip(h.attrs)
	for _, a := range attrs {
		if a.Key == PackageKey && h.prefix == "" {
			next.pkg = a.Value.String()
			continue
		}
		next.attrs = appendRedacted(next.attrs, h.prefix, a, h.hidden)
	}
	return &next
}

// WithGroup returns a handler that puts later attributes into a group.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	next := *h
	next.prefix = h.prefix + name + "."
	next.hidden = h.hidden || secretKey(name)
	return &next
}

// appendRedacted flattens an attribute and redacts it. hidden says that a group around it has a secret name.
func appendRedacted(dst []Attr, prefix string, a slog.Attr, hidden bool) []Attr {
	v := a.Value.Resolve()
	if a.Equal(slog.Attr{}) {
		return dst
	}
	hidden = hidden || secretKey(a.Key)
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, m := range v.Group() {
			dst = appendRedacted(dst, prefix, m, hidden)
		}
		return dst
	}
	return append(dst, Attr{Key: prefix + a.Key, Value: redactValue(v, hidden)})
}

// redactValue renders one value. Numbers, times and truth values are no secrets, whatever their name: status codes and
// token counts must stay readable.
func redactValue(v slog.Value, hidden bool) string {
	switch v.Kind() {
	case slog.KindBool, slog.KindDuration, slog.KindFloat64, slog.KindInt64, slog.KindUint64:
		return v.String()
	case slog.KindTime:
		return v.Time().Format(time.RFC3339Nano)
	}
	if hidden {
		return shown
	}
	if v.Kind() == slog.KindString {
		return Redact(v.String())
	}
	return redactAny(v.Any())
}
