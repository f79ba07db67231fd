package openai

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

func FuzzDecode(f *testing.F) {
	for _, s := range append(seeds(f, "client.json"), identityBodies...) {
		f.Add([]byte(s), uint8(0))
		f.Add([]byte(s), uint8(7))
	}
	f.Fuzz(func(t *testing.T, body []byte, bits uint8) {
		op := OpChat
		if bits&64 != 0 {
			op = OpCompletions
		}
		req, err := Codec{}.Decode(op, nil, body)
		if err != nil {
			if k := apierror.KindOf(err); k != apierror.InvalidRequest {
				t.Fatalf("%v", err)
			}
			return
		}
		o := Options{ForceConvert: bits&1 != 0, OwnHost: bits&2 != 0, StringContent: bits&4 != 0, OneSystem: bits&8 != 0, CacheControl: bits&16 != 0, Documents: bits&32 != 0}
		x, err := NewExchange(req, o)
		if err != nil {
			return
		}
		if !jsontext.Value(x.Body).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
			t.Errorf("no JSON: %s", x.Body)
		}
		x2, _ := NewExchange(req, o)
		if !bytes.Equal(x.Body, x2.Body) {
			t.Errorf("not the same twice:\n%s\n%s", x.Body, x2.Body)
		}
	})
}

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

// eventsOf reads a stream to its end and checks that it ends once.
func eventsOf(t *testing.T, x *Exchange, in []byte, cut int) (out []string) {
	ids := counter()
	x.newID = func() string { return ids("c", 1) }
	ends, began := 0, false
	for ev, err := range x.ReadStream(&cutReader{in, cut}) {
		if ends > 0 {
			t.Fatal("something came after the end")
		}
		if err != nil {
			ends++
			out = append(out, err.Error())
			continue
		}
		if ev.Kind == canon.KindStart && began {
			t.Fatal("two starts")
		}
		began = began || ev.Kind == canon.KindStart
		if !began && ev.Kind != canon.KindPing {
			t.Fatalf("%s before the start", ev.Kind)
		}
		if ev.Kind == canon.KindFinish {
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
		f.Add([]byte(s+"\n\n"), uint8(3), false)
		f.Add([]byte(strings.ReplaceAll(s, "\n", "\r\n")), uint8(1), true)
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint8, think bool) {
		x := func() *Exchange {
			return &Exchange{o: Options{SplitThinkTags: think}, verbatim: !think, custom: map[string]bool{"patch": think}}
		}
		whole := eventsOf(t, x(), in, 1<<20)
		if d := cmp.Diff(whole, eventsOf(t, x(), in, int(cut)%9+1)); d != "" {
			t.Error(d)
		}
		if _, err := canon.Collect(x().ReadWhole(in)); err != nil && apierror.From(err).Msg == "" {
			t.Error("an error without words")
		}
		_ = ParseError(400, nil, in)
		_, _ = ParseModels(in)
		_, _ = ParseEmbeddings(in)
	})
}

func FuzzRenderer(f *testing.F) {
	f.Add([]byte{1, 2, 19, 35, 52, 4, 7}, uint8(0))
	f.Add([]byte{1, 130, 3, 99, 6, 8}, uint8(3))
	f.Fuzz(func(t *testing.T, script []byte, bits uint8) {
		req := &canon.Request{ModelAsked: "m", Op: string(OpChat), IncludeUsage: bits&1 != 0, Prompts: []string{"p"}, Echo: bits&4 != 0}
		if bits&2 != 0 {
			req.Op = string(OpCompletions)
		}
		if bits&8 != 0 {
			req.Ext = map[string]jsontext.Value{"functions": jsontext.Value("[]")}
		}
		r := Codec{}.NewRenderer(req)
		var out []byte
		ended := false
		for _, b := range script {
			ev := canon.Event{Kind: canon.Kind(b%10 + 1), Index: int(b>>4) % 4, Choice: int(b>>6) % 2, Delta: canon.DeltaKind(b%5 + 1), Text: "t", ID: "i", Created: 1}
			ev.Part = &canon.Part{Type: canon.PartType(b>>3%10 + 1), Text: "w", Custom: b&1 != 0}
			ev.Verbatim = bits&16 != 0
			if b&32 != 0 {
				ev.Raw = []byte(`{"model":"u","choices":[]}`)
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
		if n := bytes.Count(out, []byte("data: [DONE]")) + bytes.Count(out, []byte(`data: {"error":`)); n != 1 {
			t.Fatalf("%d ends in %s", n, out)
		}
		for line := range bytes.SplitSeq(out, []byte("\n\n")) {
			data, ok := bytes.CutPrefix(line, []byte("data: "))
			if ok && !bytes.Equal(data, done) && !valid(data) {
				t.Fatalf("no JSON: %s", data)
			}
		}
	})
}
