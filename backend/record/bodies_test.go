package record

import (
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/events"
)

func newBodies(t testing.TB, o BodyOptions) *Bodies {
	t.Helper()
	dir := t.TempDir()
	b := NewBodies(BodyNeeds{Dir: filepath.Join(dir, "bodies"), Prompts: filepath.Join(dir, "prompts.log"), Bus: &events.Bus{}, Log: slog.New(slog.DiscardHandler)})
	b.Set(o)
	return b
}

func keep(b *Bodies, id, body string) {
	c := b.Start(id, "k", "app")
	c.Client("POST", "/v1/x", http.Header{"Authorization": {"Bearer secret-of-mine"}, "Content-Type": {"application/json"}}, []byte(body), "secret-of-mine")
	c.Head(200, http.Header{})
	c.Write([]byte("answer to secret-of-mine"))
	c.End()
	b.write(<-b.queue)
}

func TestBodiesAreBoundedBySizeAndAge(t *testing.T) {
	b := newBodies(t, BodyOptions{All: true, Body: 100, Disk: 3000})
	for i := range 40 {
		keep(b, "req_"+string(rune('a'+i%26))+strings.Repeat("x", i), strings.Repeat("é", 100))
	}
	s := b.Size()
	if s.Files == 0 || s.Files >= 40 || s.Bytes > 3000 {
		t.Errorf("%+v", s)
	}
	ids := b.IDs()
	k, err := b.Get(ids[len(ids)-1])
	check(t, err)
	if !k.Request.Cut || k.Request.Size != 200 || len(k.Request.Body) > 100 || k.Request.Base64 || k.Request.Header["Authorization"] != Hidden || k.Answer.Body != "answer to "+Hidden {
		t.Errorf("%+v", k)
	}
	again := NewBodies(BodyNeeds{Dir: b.dir, Prompts: b.prompts, Bus: &events.Bus{}, Log: slog.New(slog.DiscardHandler)}) // after a restart
	if again.Size() != s {
		t.Errorf("%+v, want %+v", again.Size(), s)
	}
	again.Set(BodyOptions{Age: time.Nanosecond})
	again.Trim()
	if n := again.Size().Files; n != 0 {
		t.Error(n, "files are too old and stay")
	}
	if k, err := b.Get("../config"); k != nil || err != nil {
		t.Error(k, err)
	}
}

func TestStringsAreChangedAndJSONStaysJSON(t *testing.T) {
	in := jsontext.Value(`{"key":"a","n":1.50,"list":["a",{"a":"a"}],"b":null}`)
	diff(t, `{"key":"X","n":1.50,"list":["X",{"a":"X"}],"b":null}`, string(mapStrings(in, func(s string) string { return strings.ReplaceAll(s, "a", "X") })))
}

// BenchmarkNobodyLooksOn is what a request pays while nothing is kept.
func BenchmarkNobodyLooksOn(b *testing.B) {
	bodies := newBodies(b, BodyOptions{})
	b.ReportAllocs()
	for b.Loop() {
		if bodies.Start("req_1", "k", "app") != nil {
			b.Fatal("somebody does")
		}
	}
}
