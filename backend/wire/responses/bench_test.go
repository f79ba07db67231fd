package responses

import (
	"strings"
	"testing"

	"patchbay/backend/canon"
)

func longBody(n int) []byte {
	turn := `{"type":"message","role":"user","content":[{"type":"input_text","text":"` + strings.Repeat("some words ", 90) + `"}]},` +
		`{"type":"reasoning","id":"rs_1","summary":[],"content":null,"encrypted_content":"gAAAAAB` + strings.Repeat("x", 400) + `"},` +
		`{"type":"function_call","id":"fc_1","call_id":"call_1","name":"f","arguments":"{\"a\":1}"},` +
		`{"type":"function_call_output","call_id":"call_1","output":"` + strings.Repeat("an answer ", 90) + `"},`
	return []byte(`{"model":"m","stream":true,"store":false,"input":[` + strings.Repeat(turn, n/len(turn)+1) + `{"role":"user","content":"go"}]}`)
}

func BenchmarkDecode(b *testing.B) {
	body := longBody(100 << 10)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (Codec{}).Decode(OpCreate, nil, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerbatim2MB(b *testing.B) {
	body := longBody(2 << 20)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		req, err := Codec{}.Decode(OpCreate, nil, body)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := NewExchange(req, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	req, err := Codec{}.Decode(OpCreate, nil, longBody(100<<10))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewExchange(req, Options{ForceConvert: true}); err != nil {
			b.Fatal(err)
		}
	}
}

// One operation is a stream of 1000 pieces of text.
func BenchmarkReadStream(b *testing.B) {
	piece := "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":7,\"item_id\":\"msg_68a1f0\",\"output_index\":0,\"content_index\":0,\"delta\":\"some words\",\"logprobs\":[]}\n\n"
	in := strings.Repeat(piece, 1000) + sse(completed(""))
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range (&Exchange{verbatim: true, req: &canon.Request{Stream: true}}).ReadStream(strings.NewReader(in)) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// One operation is one piece of text.
func BenchmarkRender(b *testing.B) {
	r := Codec{}.NewRenderer(&canon.Request{ModelAsked: "m"}).(*renderer)
	buf := r.AppendEvent(nil, canon.Event{Kind: canon.KindStart, ID: "resp_1", Created: 1790000000})
	buf = r.AppendEvent(buf, canon.Event{Kind: canon.KindPartStart, Part: &canon.Part{Type: canon.PartText}})
	ev := canon.Event{Kind: canon.KindDelta, Delta: canon.DeltaText, Text: "some words"}
	buf = r.AppendEvent(buf, ev)
	b.ReportAllocs()
	for b.Loop() {
		r.cur.item.text = r.cur.item.text[:0] // a real answer ends
		buf = r.AppendEvent(buf[:0], ev)
	}
}

// One operation is one piece of text that is copied.
func BenchmarkCopy(b *testing.B) {
	r := Codec{}.NewRenderer(&canon.Request{ModelAsked: "m"})
	buf := r.AppendEvent(nil, canon.Event{Kind: canon.KindStart, Verbatim: true, RawName: "response.created", Raw: []byte(`{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","model":"up"}}`)})
	ev := canon.Event{Kind: canon.KindDelta, Delta: canon.DeltaText, Text: "some words", RawName: "response.output_text.delta",
		Raw: []byte(`{"type":"response.output_text.delta","sequence_number":7,"item_id":"msg_68a1f0","output_index":0,"content_index":0,"delta":"some words","logprobs":[]}`)}
	b.ReportAllocs()
	for b.Loop() {
		buf = r.AppendEvent(buf[:0], ev)
	}
}
