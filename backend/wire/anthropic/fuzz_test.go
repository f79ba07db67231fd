package anthropic

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// Any body is refused, or it can be written to an upstream of this format.
func FuzzDecode(f *testing.F) {
	for _, s := range goldenRequests(f) {
		f.Add([]byte(s))
	}
	f.Add([]byte(`{"model":"m","messages":[{"role":"assistant","content":[{"type":"redacted_thinking"},{"type":"tool_use","id":"a","name":"b"}]}],"thinking":{"type":"enabled"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := Codec{}.Decode(OpMessages, nil, body)
		if err != nil {
			if apierror.KindOf(err) != apierror.InvalidRequest {
				t.Fatalf("%v", err)
			}
			return
		}
		for _, o := range []Options{{}, {OwnHost: true, ForceConvert: true}, {ForceConvert: true, NoSignatureCheck: true, NoOutputConfig: true, NoTypedTools: true, NoCacheControl: true, NoSystemRole: true}, {StripReasoning: true}} {
			x, err := NewExchange(req, o)
			if err != nil {
				if _, ok := err.(*apierror.Error); !ok {
					t.Fatalf("%T", err)
				}
				continue
			}
			if !jsontext.Value(x.Body).IsValid(wire.Lenient) {
				t.Fatalf("%+v: not JSON: %s", o, x.Body)
			}
		}
	})
}

type cutReader struct {
	rest []byte
	n    int
}

func (c *cutReader) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.n)], c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Any cut of the bytes gives the same events, and the end comes exactly once.
func FuzzReadStream(f *testing.F) {
	for _, s := range goldenFiles(f, "answer.sse") {
		f.Add([]byte(s+"\n\n"), uint8(1), uint8(0))
		f.Add([]byte(strings.ReplaceAll(s, "\n", "\r\n")+"\r\n\r\n"), uint8(7), uint8(1))
	}
	f.Add([]byte("data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"日本🎉\"}}\n\ndata: {\"type\":\"message_stop\"}\n\n"), uint8(2), uint8(2))
	f.Fuzz(func(t *testing.T, in []byte, cut, mode uint8) {
		req := &canon.Request{Format: Name, ModelAsked: "m", Model: "m"}
		x := &Exchange{req: req, verbatim: mode%4 == 1, tools: map[string]toolName{"Bash": {name: "b", custom: true}}}
		if mode%4 == 2 {
			x.standIn, x.fence = standInName, true
		}
		read := func(r io.Reader) string {
			var b strings.Builder
			ends := 0
			for ev, err := range x.ReadStream(r) {
				if ends > 0 {
					t.Fatal("something follows the end")
				}
				if err != nil || ev.Kind == canon.KindFinish {
					ends++
				}
				ev.More = false
				b.WriteString(ev.Kind.String() + dump(ev))
				if err != nil {
					b.WriteString(apierror.KindOf(err).String())
				}
			}
			if ends != 1 {
				t.Fatalf("%d ends", ends)
			}
			return b.String()
		}
		if d := cmp.Diff(read(bytes.NewReader(in)), read(&cutReader{in, int(cut)%9 + 1})); d != "" {
			t.Error(d)
		}
	})
}

// Any order of events ends in exactly one terminal event, once an end was given.
func FuzzRenderer(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6}, "a", false)
	f.Add([]byte{6, 6, 9, 12, 40, 41, 80, 5}, "日\n\"", true)
	f.Fuzz(func(t *testing.T, script []byte, s string, verbatim bool) {
		r := Codec{}.NewRenderer(client())
		var b []byte
		ended := false
		for _, c := range script {
			i := int(c>>4) % 5
			p := canon.Part{Type: canon.PartType(c>>4)%11 + 1, Text: s, CallID: s, Name: s, Custom: c>>7 == 1, Redacted: c>>6 == 1, Opaque: &canon.Opaque{Family: []string{"claude", "gemini", ""}[i%3], Kind: "call", Data: s}, Media: &canon.Media{}}
			if p.Type == canon.PartServer {
				p.Server = jsontext.Value(`{"type":"x"}`)
			}
			switch c % 8 {
			case 0:
				b = r.AppendEvent(b, canon.Event{Kind: canon.KindStart, Verbatim: verbatim, ID: s})
			case 1, 2:
				b = r.AppendEvent(b, start(i, p))
			case 3:
				b = r.AppendEvent(b, delta(i, canon.DeltaKind(c>>5)%5+1, s))
			case 4:
				b = r.AppendEvent(b, end(i, p))
			case 5:
				b = r.AppendEvent(b, canon.Event{Kind: canon.KindFrame, Raw: []byte(`{"type":"content_block_start","index":0}`)})
			case 6:
				b = r.AppendPing(b)
			case 7:
				if ended = true; c>>7 == 0 {
					b = r.AppendError(b, apierror.New(apierror.Internal, "%s", s))
				} else {
					b = r.AppendEvent(b, finish)
				}
			}
		}
		if !ended {
			b = r.AppendEvent(b, finish)
		}
		terminals, open, last := 0, false, ""
		for _, line := range dataLines(t, b) {
			if !jsontext.Value(line).IsValid() {
				t.Fatalf("not JSON: %s", line)
			}
			last = blockType(jsontext.Value(line))
			switch last {
			case "content_block_start":
				if open && !verbatim {
					t.Fatal("two blocks open")
				}
				open = true
			case "content_block_stop":
				open = false
			case "message_stop", "error":
				terminals++
			}
		}
		if terminals != 1 || last != "message_stop" && last != "error" || last == "message_stop" && open {
			t.Fatalf("%d terminal events, open %t:\n%s", terminals, open, b)
		}
	})
}
