package ollama

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

func seeds(f *testing.F, name string) (out []string) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range files {
		if a, err := txtar.ParseFile(file); err == nil {
			if s := section(a, name); s != "" {
				out = append(out, s)
			}
		}
	}
	if len(out) == 0 {
		f.Fatal("no seeds")
	}
	return out
}

func valid(b []byte) bool {
	return jsontext.Value(b).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

func FuzzDecode(f *testing.F) {
	for _, s := range append(seeds(f, "client.json"), identityBodies...) {
		f.Add([]byte(s), uint8(0))
		f.Add([]byte(s), uint8(7))
	}
	f.Fuzz(func(t *testing.T, body []byte, bits uint8) {
		op := OpChat
		if bits&1 != 0 {
			op = OpGenerate
		}
		req, err := Codec{}.Decode(op, nil, body)
		if err != nil {
			if k := apierror.KindOf(err); k != apierror.InvalidRequest {
				t.Fatalf("%v", err)
			}
			return
		}
		if b, ok := (Codec{}).AppendImmediate(nil, req); ok && !valid(b) {
			t.Errorf("no JSON: %s", b)
		}
		o := Options{ForceConvert: bits&2 != 0, NoThink: bits&4 != 0}
		if bits&8 != 0 {
			o.NumCtx = 4096
		}
		x, err := NewExchange(req, o)
		if err != nil {
			return
		}
		if !valid(x.Body) {
			t.Errorf("no JSON: %s", x.Body)
		}
		if again, _ := NewExchange(req, o); !bytes.Equal(x.Body, again.Body) {
			t.Errorf("not the same twice:\n%s\n%s", x.Body, again.Body)
		}
		if e, err := (Codec{}).DecodeEmbed(OpEmbed, nil, body); err == nil {
			if b, err := EmbedRequest(e); err != nil || !valid(b) {
				t.Errorf("%v: %s", err, b)
			}
		}
	})
}

// cutReader gives at most n bytes at a time.
type cutReader struct {
	rest []byte
	n    int
}

func (c *cutReader) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, fmt.Errorf("end: %w", apierror.New(apierror.Transport, "end"))
	}
	n := copy(p[:min(len(p), c.n)], c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// eventsOf reads an answer to its end and checks that it ends once.
func eventsOf(t *testing.T, in []byte, cut int, verbatim bool) (out []string) {
	n := 0
	x := &Exchange{verbatim: verbatim, foreign: !verbatim, custom: map[string]bool{"patch": !verbatim}, newID: func() string { n++; return fmt.Sprint("c", n) }}
	ends, parts := 0, map[int]bool{}
	for ev, err := range x.Read("", &cutReader{in, cut}) {
		if ends > 0 {
			t.Fatal("something came after the end")
		}
		if err != nil {
			ends++
			out = append(out, apierror.From(err).Msg)
			continue
		}
		if first := len(out) == 0; first != (ev.Kind == canon.KindStart) {
			t.Fatalf("%s at %d", ev.Kind, len(out))
		}
		switch ev.Kind {
		case canon.KindPartStart:
			if parts[ev.Index] || ev.Index != len(parts) {
				t.Fatalf("part %d out of order", ev.Index)
			}
			parts[ev.Index] = true
		case canon.KindPartEnd, canon.KindDelta:
			if !parts[ev.Index] {
				t.Fatalf("part %d was not begun", ev.Index)
			}
		case canon.KindFinish:
			ends++
		}
		out = append(out, dumpEvent(ev)+string(ev.Raw))
	}
	if ends != 1 {
		t.Fatalf("%d ends", ends)
	}
	return out
}

func FuzzReadStream(f *testing.F) {
	for _, s := range seeds(f, "answer.txt") {
		f.Add([]byte(s+"\n"), uint8(3), false)
		f.Add([]byte(strings.ReplaceAll(s, "\n", "\r\n")), uint8(1), true)
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint8, verbatim bool) {
		if d := cmp.Diff(eventsOf(t, in, 1<<20, verbatim), eventsOf(t, in, int(cut)%9+1, verbatim)); d != "" {
			t.Error(d)
		}
		_ = ParseError(400, nil, in)
		_, _ = ParseTags(in)
		_ = ParseShow(in, &canon.Model{})
		_, _ = ParseEmbeddings(in)
	})
}

func FuzzRenderer(f *testing.F) {
	f.Add([]byte{1, 2, 19, 35, 52, 4, 7}, uint8(0))
	f.Add([]byte{1, 130, 3, 99, 6, 8}, uint8(3))
	f.Fuzz(func(t *testing.T, script []byte, bits uint8) {
		req := asked("x", string(OpChat))
		if bits&1 != 0 {
			req.Op = string(OpGenerate)
		}
		r := Codec{}.NewRenderer(req)
		var out []byte
		ended := false
		for _, b := range script {
			ev := canon.Event{Kind: canon.Kind(b%10 + 1), Index: int(b>>4)%4 - 1, Choice: int(b>>6) % 2, Delta: canon.DeltaKind(b%5 + 1), Text: "t"}
			ev.Part = &canon.Part{Type: canon.PartType(b>>3%10 + 1), Text: "w", Custom: b&1 != 0, Media: &canon.Media{Data: []byte("x")}}
			if b&8 != 0 {
				ev.Part = nil
			}
			ev.Verbatim = bits&2 != 0
			if b&32 != 0 {
				ev.Raw = []byte(`{"model":"u","done":` + fmt.Sprint(ev.Kind == canon.KindFinish) + `}`)
			}
			before := len(out)
			switch {
			case b == 255:
				out = r.AppendError(out, apierror.New(apierror.Timeout, "x"))
			case b == 254:
				out = r.AppendPing(out)
			default:
				out = r.AppendEvent(out, ev)
			}
			if ended && len(out) != before {
				t.Fatal("something came after the end")
			}
			ended = ended || b == 255 || b < 254 && ev.Kind == canon.KindFinish
		}
		if !ended {
			out = r.AppendError(out, apierror.New(apierror.Timeout, "x"))
		}
		if n := bytes.Count(out, []byte(`"done":true`)) + bytes.Count(out, []byte(`{"error":`)); n != 1 {
			t.Fatalf("%d ends in %s", n, out)
		}
		for line := range bytes.Lines(out) {
			if !valid(line) {
				t.Fatalf("no JSON: %s", line)
			}
		}
	})
}
