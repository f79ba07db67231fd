package responses

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
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

func seeds(f *testing.F, name, mark string) (out []string) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range files {
		if a, err := txtar.ParseFile(file); err == nil {
			if s := section(a, name); strings.Contains(s, mark) {
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
	for _, s := range append(seeds(f, "client.json", `"input"`), identityBodies...) {
		f.Add([]byte(s), uint8(0))
		f.Add([]byte(s), uint8(63))
	}
	f.Fuzz(func(t *testing.T, body []byte, bits uint8) {
		req, err := Codec{}.Decode(OpCreate, nil, body)
		if err != nil {
			if k := apierror.KindOf(err); k != apierror.InvalidRequest {
				t.Fatalf("%v", err)
			}
			return
		}
		req.SetIDs(counter())
		o := Options{ForceConvert: bits&1 != 0, Store: bits&2 != 0, DropItemIDs: bits&4 != 0, NoSystemRole: bits&8 != 0, StripReasoning: bits&16 != 0, Instructions: bits&32 != 0}
		x, err := NewExchange(req, o)
		if err != nil {
			return
		}
		if !jsontext.Value(x.Body).IsValid(wire.Lenient) {
			t.Errorf("no JSON: %s", x.Body)
		}
		x2, _ := NewExchange(req, o)
		if !bytes.Equal(x.Body, x2.Body) {
			t.Errorf("not the same twice:\n%s\n%s", x.Body, x2.Body)
		}
		if o.ForceConvert {
			if _, err := (Codec{}).Decode(OpCreate, nil, x.Body); err != nil {
				t.Errorf("what was written cannot be read: %v\n%s", err, x.Body)
			}
		}
		whole, err := Codec{}.AppendResponse(nil, req, &canon.Response{ID: "resp_1", Created: 1})
		if err != nil || !jsontext.Value(whole).IsValid(wire.Lenient) {
			t.Errorf("no JSON: %s", whole)
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

// eventsOf reads a stream to its end and checks that it keeps the rules of events.
func eventsOf(t *testing.T, x *Exchange, in []byte, cut int) (out []string) {
	x.req.SetIDs(counter())
	ends, began, parts := 0, false, map[int]bool{}
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
		switch ev.Kind {
		case canon.KindPartStart:
			if ev.Index != len(parts) {
				t.Fatalf("part %d after %d", ev.Index, len(parts))
			}
			parts[ev.Index] = true
		case canon.KindDelta, canon.KindPartEnd:
			if !parts[ev.Index] {
				t.Fatalf("%s of part %d, which is not open", ev.Kind, ev.Index)
			}
			if ev.Kind == canon.KindPartEnd {
				parts[ev.Index] = false
			}
		case canon.KindFinish:
			ends++
			for i, open := range parts {
				if open {
					t.Fatalf("part %d never ended", i)
				}
			}
		}
		if !began && ev.Kind != canon.KindFrame {
			t.Fatalf("%s before the start", ev.Kind)
		}
		out = append(out, dumpEvent(ev)+string(ev.Raw))
	}
	if ends != 1 {
		t.Fatalf("%d ends", ends)
	}
	return out
}

func FuzzReadStream(f *testing.F) {
	for _, s := range seeds(f, "answer.txt", "response.") {
		f.Add([]byte(s+"\n\n"), uint8(3), uint8(0))
		f.Add([]byte(strings.ReplaceAll(s, "\n", "\r\n")), uint8(1), uint8(7))
	}
	f.Fuzz(func(t *testing.T, in []byte, cut, bits uint8) {
		x := func() *Exchange {
			x := &Exchange{req: &canon.Request{Format: Name}, verbatim: bits&1 != 0, same: bits&2 != 0}
			if bits&4 != 0 {
				x.stops = []string{"o", "file"}
			}
			return x
		}
		whole := eventsOf(t, x(), in, 1<<20)
		if d := cmp.Diff(whole, eventsOf(t, x(), in, int(cut)%9+1)); d != "" {
			t.Error(d)
		}
		if _, err := canon.Collect(x().ReadWhole(in)); err != nil && apierror.From(err).Msg == "" {
			t.Error("an error without words")
		}
		// What was read can be told.
		req := &canon.Request{Format: Name, ModelAsked: "asked", Include: []string{includeReasoning}}
		req.SetIDs(counter())
		r := Codec{}.NewRenderer(req)
		var out []byte
		for ev, err := range x().ReadStream(bytes.NewReader(in)) {
			if err != nil {
				out = r.AppendError(out, apierror.From(err))
				break
			}
			out = r.AppendEvent(out, ev)
		}
		checkStream(t, out, bits&1 == 0)
	})
}

// checkStream checks that a stream ends once and that its events are JSON. Copied frames are the service's own.
func checkStream(t *testing.T, out []byte, ours bool) {
	t.Helper()
	ends := 0
	for line := range bytes.SplitSeq(out, []byte("\n\n")) {
		head, data, ok := bytes.Cut(line, []byte("\ndata: "))
		if !ok {
			continue
		}
		switch string(bytes.TrimPrefix(head, []byte("event: "))) {
		case "response.completed", "response.incomplete", "response.failed":
			ends++
		}
		if ours && !oai.Valid(data) {
			t.Fatalf("no JSON: %s", data)
		}
	}
	if ends != 1 {
		t.Fatalf("%d ends in %s", ends, out)
	}
}

func FuzzRenderer(f *testing.F) {
	f.Add([]byte{1, 2, 19, 35, 52, 4, 7}, uint8(0))
	f.Add([]byte{1, 130, 3, 99, 6, 8, 18, 34, 50}, uint8(3))
	f.Fuzz(func(t *testing.T, script []byte, bits uint8) {
		req := &canon.Request{Format: Name, ModelAsked: "m", Tools: []canon.Tool{{Kind: canon.ToolFunction, Name: "f", Space: "s"}, {Kind: canon.ToolFunction, Name: toolSearch, ServerType: toolSearch}}}
		req.SetIDs(counter())
		if bits&1 != 0 {
			req.Include = []string{includeReasoning}
		}
		r := Codec{}.NewRenderer(req)
		var out []byte
		ended := false
		for i, b := range script {
			ev := canon.Event{Kind: canon.Kind(b%10 + 1), Index: int(b>>4) % 4, Delta: canon.DeltaKind(b%5 + 1), Summary: int(b) % 3, Text: "t", ID: "i", Created: 1}
			name := []string{"f", "s__f", toolSearch}[int(b)%3]
			ev.Part = &canon.Part{Type: canon.PartType((int(b)+i)%10 + 1), Text: "w", Custom: b&1 != 0, Name: name, Redacted: b&64 != 0, RawText: b&2 != 0}
			if b&8 != 0 {
				ev.Part.Opaque = &canon.Opaque{Family: []string{"openai", "gemini", ""}[int(b)%3], Kind: "call", Data: "d"}
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
			out = r.AppendEvent(out, canon.Event{Kind: canon.KindFinish})
		}
		checkStream(t, out, true)
		if !bytes.Contains(out, []byte("response.failed")) {
			itemsFit(t, string(out))
		}
	})
}
