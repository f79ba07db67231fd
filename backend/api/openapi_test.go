package api_test

import (
	"bytes"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi/datamodel"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"patchbay/backend/api"
)

// document reads the description as it is served.
func document(t *testing.T) map[string]any {
	t.Helper()
	s, _ := serve(t, panics{})
	resp, body := call(t, s, "GET", "/api/openapi.json", "", nil)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" {
		t.Fatal(resp.Status, body)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return doc.(map[string]any)
}

func TestDescriptionIsOpenAPI(t *testing.T) {
	schema, err := jsonschema.UnmarshalJSON(strings.NewReader(datamodel.OpenAPI31SchemaData))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("openapi.json", schema); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	doc := document(t)
	if err := compiled.Validate(doc); err != nil {
		t.Error(err)
	}
	delete(doc["info"].(map[string]any), "title")
	if compiled.Validate(doc) == nil {
		t.Error("a description without a title is taken for valid: the check checks nothing")
	}
}

func TestEveryCallIsDescribed(t *testing.T) {
	paths := document(t)["paths"].(map[string]any)
	ids := map[any]string{}
	for _, d := range api.Descriptions() {
		method, path, _ := strings.Cut(d.Pattern, " ")
		op, _ := paths[path].(map[string]any)[strings.ToLower(method)].(map[string]any)
		if op == nil {
			t.Errorf("%s is not in the description", d.Pattern)
			continue
		}
		if id := op["operationId"]; ids[id] != "" {
			t.Errorf("%s and %s are both %s", ids[id], d.Pattern, id)
		} else {
			ids[id] = d.Pattern
		}
		if d.About == "" || strings.HasSuffix(d.About, ".") {
			t.Errorf("%s: say in a few words, without a full stop, what it is (about)", d.Pattern)
		}
		if d.Gives == nil && d.Media == "" && d.Status != http.StatusNoContent {
			t.Errorf("%s: name the type of its answer (gives), or the status 204 if there is none", d.Pattern)
		}
		if slices.Contains([]string{"POST", "PUT", "PATCH"}, method) && d.Takes == nil && method != "POST" {
			t.Errorf("%s: name the type of its body (takes)", d.Pattern)
		}
	}
}

// TestAnswersAreAsDescribed asks for everything that the fake has and holds the answers against the description.
func TestAnswersAreAsDescribed(t *testing.T) {
	doc := document(t)
	c := jsonschema.NewCompiler()
	if err := c.AddResource("openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	s, _ := serve(t, full())
	n := 0
	for _, d := range api.Descriptions() {
		path, ok := strings.CutPrefix(d.Pattern, "GET ")
		if !ok || d.Raw || strings.Contains(path, "{") {
			continue
		}
		at := "openapi.json#/paths/" + strings.ReplaceAll(path, "/", "~1") + "/get/responses/200/content/application~1json/schema"
		schema, err := c.Compile(at)
		if err != nil {
			t.Errorf("%s: %v", d.Pattern, err)
			continue
		}
		resp, body := call(t, s, "GET", path, "", nil)
		if resp.StatusCode == 400 {
			continue // it needs a parameter
		}
		got, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("%s: %d %s", d.Pattern, resp.StatusCode, body)
			continue
		}
		if err := schema.Validate(got); err != nil {
			t.Errorf("%s: %v\n%s", d.Pattern, err, body)
		}
		n++
	}
	if n < 12 {
		t.Errorf("only %d answers were looked at", n)
	}
}

func TestTypesOfThePageAreFresh(t *testing.T) {
	have, err := os.ReadFile("../../frontend/src/api/types.gen.ts")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bytes.ReplaceAll(have, []byte("\r\n"), []byte("\n")), api.TypeScript()) {
		t.Error("the types of the page are stale: run `go generate ./backend/api`")
	}
}
