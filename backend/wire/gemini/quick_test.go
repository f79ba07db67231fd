package gemini

import (
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"patchbay/backend/wire"
)

// quickChunks are chunks as Google streams them.
var quickChunks = []string{
	`{"candidates":[{"content":{"parts":[{"text":"a"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":4,"totalTokenCount":13,` +
		`"promptTokensDetails":[{"modality":"TEXT","tokenCount":9}],"thoughtsTokenCount":1,"cachedContentTokenCount":2,"toolUsePromptTokenCount":3},"modelVersion":"m","responseId":"r"}`,
	`{"candidates": [{"content": {"role": "model","parts": [{"text": "\u003ca\u003e\n","thought": true,"thoughtSignature": "CpwB"}]}}],"modelVersion": "m2"}`,
	`{"usageMetadata":{"promptTokenCount":9},"responseId":"r"}`,
	`{"candidates":[{"content":{"parts":[],"role":"model"},"index":1}]}`,
	`{"candidates":[]}`,
}

// otherChunks are whole in another way, and left to the decoder.
var otherChunks = []string{
	`{"candidates":[{"content":{"parts":[{"text":"a"},{"text":"b"}]}}]}`,
	`{"candidates":[{"content":{"parts":[{"text":"a"}]}},{"index":1}]}`,
	`{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f"}}]}}]}`,
	`{"candidates":[{"content":{"parts":[{"text":"a"}],"x":1}}]}`,
	`{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}]}`,
	`{"response":{"candidates":[]}}`,
	`{"error":{"code":500}}`,
}

// differ compares what a quick read and the decoder make of a chunk. old is what the memory held before.
func differ(t *testing.T, old, data string) (quick bool) {
	t.Helper()
	var got, want chunkJSON
	if json.Unmarshal([]byte(old), &got, wire.Lenient) != nil {
		got = chunkJSON{}
	}
	if !got.quick([]byte(data)) {
		return false
	}
	if err := json.Unmarshal([]byte(data), &want, wire.Lenient); err != nil {
		t.Fatalf("%q was read, but %v", data, err)
	}
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("%q after %q: %s", data, old, d)
	}
	return true
}

func TestQuickChunks(t *testing.T) {
	for _, old := range append(otherChunks, quickChunks...) {
		for _, data := range quickChunks {
			if !differ(t, old, data) {
				t.Errorf("%s is left to the decoder", data)
			}
		}
		for _, data := range otherChunks {
			if differ(t, old, data) {
				t.Errorf("%s is not left to the decoder", data)
			}
		}
	}
}

func FuzzQuickChunks(f *testing.F) {
	for i, data := range append(otherChunks, quickChunks...) {
		f.Add(quickChunks[i%len(quickChunks)], data)
		f.Add(otherChunks[i%len(otherChunks)], data)
	}
	f.Fuzz(func(t *testing.T, old, data string) { differ(t, old, data) })
}
