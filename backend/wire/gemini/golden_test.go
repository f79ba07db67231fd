package gemini

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"patchbay/backend/canon"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden runs testdata/*.txtar. The comment's first line names the path of the call, its second the upstream's model.
// A client's request becomes canon (a dump) and an upstream's body, with the client's bytes and without; an upstream's
// stream becomes events and the client's stream.
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
			lines := strings.Split(string(a.Comment), "\n")
			golden(t, a, lines[0], lines[1])
			if *update {
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func golden(t *testing.T, a *txtar.Archive, path, model string) {
	in := map[string]string{}
	for _, f := range a.Files {
		in[f.Name] = string(f.Data)
	}
	req, err := Codec{}.Decode(OpAction, post(path), []byte(in["request.json"]))
	if err != nil {
		t.Fatal(err)
	}
	req.Model = model
	req.SetIDs(func(prefix string, n int) string { return prefix + strings.Repeat("0", n) })
	x := write(t, req, Options{})
	anew := write(t, without(req), Options{Strict: true})
	stream := in["upstream.sse"]
	got := map[string]string{
		"canon":         dumpRequest(req),
		"verbatim.json": strings.TrimSpace(string(x.Body)) + "\n",
		"strict.json":   canonical(t, string(anew.Body)) + "\n",
		"events":        dump(x.ReadStream(strings.NewReader(stream))),
		"verbatim.sse":  render(req, x.ReadStream(strings.NewReader(stream))),
		"anew.sse":      render(req, plain(x).ReadStream(strings.NewReader(stream))),
	}
	for i, f := range a.Files {
		want, ok := got[f.Name]
		if !ok {
			continue
		}
		if *update {
			a.Files[i].Data = []byte(want)
		} else if d := cmp.Diff(string(f.Data), want); d != "" {
			t.Errorf("%s: -want +got:\n%s", f.Name, d)
		}
		delete(got, f.Name)
	}
	if *update {
		for _, name := range []string{"canon", "verbatim.json", "strict.json", "events", "verbatim.sse", "anew.sse"} {
			if _, missing := got[name]; missing {
				a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(got[name])})
			}
		}
	} else if len(got) > 0 {
		t.Errorf("sections are missing; run with -update")
	}
}

// plain returns an exchange whose answers are not copied.
func plain(x *Exchange) *Exchange {
	c := *x
	c.verbatim = false
	return &c
}

func dumpRequest(req *canon.Request) string {
	var b strings.Builder
	b.WriteString("model " + req.ModelAsked + "\n")
	for i := range req.System {
		b.WriteString("system " + dumpPart(&req.System[i]) + "\n")
	}
	for _, m := range req.Messages {
		for i := range m.Parts {
			b.WriteString(string(m.Role) + " " + dumpPart(&m.Parts[i]) + "\n")
		}
	}
	for _, t := range req.Tools {
		b.WriteString("tool " + strings.TrimSpace(t.Kind+" "+t.Name+t.ServerType+" "+string(t.Schema)) + "\n")
	}
	b.WriteString(strings.TrimSpace("choice "+req.ToolChoice.Mode) + "\n")
	b.WriteString(strings.TrimSpace("reasoning "+req.Reasoning.Mode+" "+req.Reasoning.Effort+" "+req.Reasoning.Summary) + "\n")
	return b.String()
}
