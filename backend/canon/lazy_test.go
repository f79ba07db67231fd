package canon

import (
	"strings"
	"testing"
	"unsafe"

	"github.com/go-json-experiment/json/jsontext"
)

// within reports whether v lies in the memory of body.
func within(v, body []byte) bool {
	if len(v) == 0 {
		return false
	}
	start, at := uintptr(unsafe.Pointer(unsafe.SliceData(body))), uintptr(unsafe.Pointer(unsafe.SliceData(v)))
	return at >= start && at < start+uintptr(len(body))
}

func TestReleaseKeepsWhatARendererNeedsAndNotTheBody(t *testing.T) {
	for _, size := range []int{10, 2 * smallBody} {
		body := []byte(`{"tools":[{"x":1}],"metadata":{"m":2},"pad":"` + strings.Repeat("x", size) + `"}`)
		o, err := ParseObject(body)
		if err != nil {
			t.Fatal(err)
		}
		r := &Request{
			ModelAsked: "m", Stream: true, Body: o, System: []Part{{Type: PartText}}, Messages: []Message{{Role: RoleUser}}, Prompts: []string{"p"},
			Tools: []Tool{{Name: "t", Raw: o.Get("tools"), Ext: map[string]jsontext.Value{"e": o.Get("metadata")}}}, Metadata: o.Get("metadata"),
			Ext: map[string]jsontext.Value{"functions": o.Get("tools")},
		}
		shared := r.Tools // as another attempt's request has them
		r.Defer(func(*Request) error { t.Error("expanded after its end"); return nil })
		r.Release()
		if r.Body.Raw != nil || r.Body.Members != nil || r.System != nil || r.Messages != nil || r.Expand() != nil {
			t.Errorf("%d: kept", size)
		}
		if r.ModelAsked != "m" || len(r.Prompts) != 1 || string(r.Metadata) != `{"m":2}` || string(r.Ext["functions"]) != `[{"x":1}]` ||
			string(r.Tools[0].Raw) != `[{"x":1}]` || string(r.Tools[0].Ext["e"]) != `{"m":2}` {
			t.Errorf("%d: lost: %+v", size, r)
		}
		if size > smallBody && (within(r.Metadata, body) || within(r.Ext["functions"], body) || within(r.Tools[0].Raw, body) || within(r.Tools[0].Ext["e"], body)) {
			t.Error("the body's memory is held")
		}
		if !within(shared[0].Raw, body) {
			t.Errorf("%d: another's tools were changed", size)
		}
	}
}

func TestFailedIsAnErrorAlone(t *testing.T) {
	n := 0
	for ev, err := range Failed(ErrNotObject) {
		if n++; err != ErrNotObject || ev.Kind != 0 {
			t.Errorf("%+v, %v", ev, err)
		}
	}
	if n != 1 {
		t.Errorf("%d events", n)
	}
}
