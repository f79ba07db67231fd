package kiro

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/anthropic"
	"patchbay/backend/wire/openai"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldenOptions is how a golden request goes out.
type goldenOptions struct {
	B     bool   // the newer body
	ARN   string // profile
	Strip bool
}

// TestGolden walks testdata: anthropic.json or openai.json is a client's request, body.json what is sent of it, dropped.txt
// what is not.
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
			want, got := string(txtar.Format(a)), string(txtar.Format(runGolden(t, a)))
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if d := cmp.Diff(want, got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

// decode reads a client's request as its codec does.
func decode(t testing.TB, format, body string) *canon.Request {
	t.Helper()
	codec, op := wire.Codec(anthropic.Codec{}), anthropic.OpMessages
	if format == "openai" {
		codec, op = openai.Codec{}, openai.OpChat
	}
	req, err := codec.Decode(op, httptest.NewRequest("POST", "/", nil), []byte(body))
	if err == nil {
		err = req.Expand()
	}
	if err != nil {
		t.Fatal(err)
	}
	req.Model = req.ModelAsked
	return req
}

func runGolden(t *testing.T, a *txtar.Archive) *txtar.Archive {
	out := &txtar.Archive{Comment: a.Comment}
	put := func(name, data string) {
		out.Files = append(out.Files, txtar.File{Name: name, Data: []byte(strings.TrimSpace(data) + "\n")})
	}
	var o goldenOptions
	var req *canon.Request
	for _, f := range a.Files {
		switch f.Name {
		case "options.json":
			if err := json.Unmarshal(f.Data, &o); err != nil {
				t.Fatal(err)
			}
		case "anthropic.json", "openai.json":
			req = decode(t, strings.TrimSuffix(f.Name, ".json"), string(f.Data))
		default:
			continue
		}
		put(f.Name, string(f.Data))
	}
	id := modelID(req.Model).id
	send := func() (*exchange, error) {
		return newExchange(req, options{account: "account-1", arn: o.ARN, origin: originIDE, formB: o.B, fields: fieldsOf(id), strip: o.Strip, leaks: true})
	}
	x, err := send()
	if err != nil {
		put("error.txt", apierror.From(err).Kind.String()+" "+apierror.From(err).Param+": "+apierror.From(err).Msg)
		return out
	}
	if again, err := send(); err != nil || string(again.body) != string(x.body) {
		t.Errorf("the same request twice gives two bodies: %v", err)
	}
	pretty := jsontext.Value(x.body)
	if err := pretty.Indent(jsontext.WithIndent(" ")); err != nil {
		t.Fatal(err)
	}
	put("body.json", string(pretty))
	var dropped strings.Builder
	for _, w := range x.dropped {
		fmt.Fprintf(&dropped, "%s: %s\n", w.Field, w.Detail)
	}
	if dropped.Len() > 0 {
		put("dropped.txt", dropped.String())
	}
	return out
}
