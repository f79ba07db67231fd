package anthropic

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden walks testdata: a client's request is read and written for an upstream, an upstream's answer is read and
// rendered for the client. options.json holds Options; model.txt the upstream's model, if it is another one.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := runGolden(t, a)
			if *update {
				if err := os.WriteFile(name, txtar.Format(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(string(txtar.Format(a)), string(txtar.Format(got))); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

func file(a *txtar.Archive, name string) string {
	for _, f := range a.Files {
		if f.Name == name {
			return strings.TrimSpace(string(f.Data))
		}
	}
	return ""
}

// runGolden returns the archive with its outputs made anew.
func runGolden(t *testing.T, a *txtar.Archive) *txtar.Archive {
	t.Helper()
	out := &txtar.Archive{Comment: a.Comment}
	put := func(name, data string) {
		if data != "" {
			out.Files = append(out.Files, txtar.File{Name: name, Data: []byte(strings.TrimSpace(data) + "\n")})
		}
	}
	for _, name := range []string{"options.json", "model.txt", "request.json"} {
		put(name, file(a, name))
	}
	var o Options
	if s := file(a, "options.json"); s != "" {
		if err := json.Unmarshal([]byte(s), &o); err != nil {
			t.Fatal(err)
		}
	}
	req, err := decode(file(a, "request.json"))
	if err != nil {
		put("error.txt", apierror.From(err).Kind.String()+": "+apierror.From(err).Msg)
		return out
	}
	if m := file(a, "model.txt"); m != "" {
		req.Model = m
	}
	x, err := NewExchange(req, o)
	put("canon.txt", dump(req))
	if err != nil {
		put("error.txt", apierror.From(err).Kind.String()+": "+apierror.From(err).Msg)
		return out
	}
	if x.verbatim {
		put("upstream.json", string(x.Body))
	} else {
		put("upstream.json", pretty(x.Body))
	}
	put("headers.txt", dump(x.Header))
	put("dropped.txt", dump(x.Dropped))
	if s := file(a, "answer.sse"); s != "" {
		put("answer.sse", s)
		put("events.txt", dumpEvents(x.ReadStream(strings.NewReader(s+"\n\n"))))
		put("client.sse", render(req, x.ReadStream(strings.NewReader(s+"\n\n"))))
		put("client.json", whole(t, req, x.ReadStream(strings.NewReader(s+"\n\n"))))
	}
	if s := file(a, "answer.json"); s != "" {
		put("answer.json", s)
		put("client.json", whole(t, req, x.ReadWhole([]byte(s))))
	}
	return out
}

func decode(body string) (*canon.Request, error) {
	r, _ := http.NewRequest("POST", "/v1/messages?beta=true", nil)
	r.Header.Set("Anthropic-Beta", "test-beta")
	req, err := Codec{}.Decode(OpMessages, r, []byte(body))
	if err == nil {
		n := 0
		req.SetIDs(func(prefix string, digits int) string { n++; return fmt.Sprintf("%s%0*d", prefix, digits, n) })
	}
	return req, err
}

func render(req *canon.Request, s canon.Stream) string {
	r := Codec{}.NewRenderer(req)
	var b []byte
	for ev, err := range s {
		if err != nil {
			return string(r.AppendError(b, apierror.From(err)))
		}
		b = r.AppendEvent(b, ev)
	}
	return string(b)
}

func whole(t *testing.T, req *canon.Request, s canon.Stream) string {
	t.Helper()
	resp, err := canon.Collect(s)
	if err != nil {
		return err.Error()
	}
	b, err := Codec{}.AppendResponse(nil, req, resp)
	if err != nil {
		t.Fatal(err)
	}
	return pretty(b)
}

func pretty(b []byte) string {
	v := jsontext.Value(bytes.Clone(b))
	if err := v.Indent(jsontext.WithIndent(" "), jsontext.AllowDuplicateNames(true)); err != nil {
		return "INVALID " + err.Error() + "\n" + string(b)
	}
	return string(v)
}

func dumpEvents(s canon.Stream) string {
	var b strings.Builder
	for ev, err := range s {
		if err != nil {
			fmt.Fprintf(&b, "error %v\n", err)
			continue
		}
		fmt.Fprintf(&b, "%s %s\n", ev.Kind, strings.ReplaceAll(dump(ev), "\n", " "))
	}
	return b.String()
}

// dump prints what is not zero of a value.
func dump(v any) string {
	var b strings.Builder
	dumpValue(&b, reflect.ValueOf(v), "")
	return strings.TrimSpace(b.String())
}

func dumpValue(b *strings.Builder, v reflect.Value, indent string) {
	if s, ok := v.Interface().(fmt.Stringer); ok && v.Kind() != reflect.Pointer {
		b.WriteString(s.String())
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		dumpValue(b, v.Elem(), indent)
	case reflect.Struct:
		b.WriteString("{")
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if !f.IsExported() || v.Field(i).IsZero() || f.Name == "Body" || f.Name == "Seed" || f.Type.Kind() == reflect.Func {
				continue
			}
			b.WriteString("\n" + indent + " " + f.Name + ": ")
			dumpValue(b, v.Field(i), indent+" ")
		}
		b.WriteString("}")
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			fmt.Fprintf(b, "%q", v.Bytes())
			return
		}
		b.WriteString("[")
		for i := range v.Len() {
			b.WriteString("\n" + indent + " ")
			dumpValue(b, v.Index(i), indent+" ")
		}
		b.WriteString("]")
	case reflect.Map:
		keys := v.MapKeys()
		sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
		b.WriteString("{")
		for _, k := range keys {
			b.WriteString("\n" + indent + " " + k.String() + ": ")
			dumpValue(b, v.MapIndex(k), indent+" ")
		}
		b.WriteString("}")
	case reflect.String:
		fmt.Fprintf(b, "%q", v.String())
	default:
		fmt.Fprint(b, v.Interface())
	}
}
