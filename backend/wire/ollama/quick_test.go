package ollama

import (
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"patchbay/backend/wire"
)

// quickLines are lines as Ollama streams them.
var quickLines = []string{
	`{"model":"m","created_at":"2026-11-22T20:00:00.123456789Z","message":{"role":"assistant","content":"hello"},"done":false}`,
	`{"model":"m","created_at":"2026-11-22T20:00:00Z","message":{"role":"assistant","content":"","thinking":"\u003ca\n"},"done":false}`,
	`{"model":"m","created_at":"2026-11-22T20:00:00Z","response":"a","thinking":"b","done":false}`,
	`{}`,
}

// otherLines are whole in another way, and left to the decoder.
var otherLines = []string{
	`{"message":{"content":"a","tool_calls":[]},"done":false}`,
	`{"message":{"content":"a"},"logprobs":[],"done":false}`,
	`{"message":{"content":null},"done":false}`,
	`{"error":"busy"}`,
	`{"message":{"content":""},"done":true}`,
}

// differ compares what a quick read and the decoder make of a line.
func differ(t *testing.T, data string) (quick bool) {
	t.Helper()
	var got, want answerLine
	if !got.quick([]byte(data)) {
		return false
	}
	if err := json.Unmarshal([]byte(data), &want, wire.Lenient); err != nil {
		t.Fatalf("%q was read, but %v", data, err)
	}
	want.Model, want.Created = "", "" // they matter on the first line only
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%q: %s", data, d)
	}
	return true
}

func TestQuickLines(t *testing.T) {
	for _, data := range quickLines {
		if !differ(t, data) {
			t.Errorf("%s is left to the decoder", data)
		}
	}
	for _, data := range otherLines {
		if differ(t, data) {
			t.Errorf("%s is not left to the decoder", data)
		}
	}
}

func FuzzQuickLines(f *testing.F) {
	for _, data := range append(quickLines, otherLines...) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data string) { differ(t, data) })
}
