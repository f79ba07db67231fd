// Package openresponses checks answers against the Open Responses schema (www.openresponses.org, version 2026-04-24). The
// schema itself is not part of this repository: the environment variable PATCHBAY_OPEN_RESPONSES names its file, and
// tests that need it are skipped without. It is for tests only.
package openresponses

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Variable names the file of the schema.
const Variable = "PATCHBAY_OPEN_RESPONSES"

// Schema is the published schema.
type Schema struct {
	doc      map[string]any
	compiler *jsonschema.Compiler
	events   map[string]string // schema of each event, by its type

	mu       sync.Mutex // guards compiled
	compiled map[string]*jsonschema.Schema
}

const address = "openresponses.json"

var load = sync.OnceValues(func() (*Schema, error) {
	raw, err := os.ReadFile(os.Getenv(Variable))
	if err != nil {
		return nil, err
	}
	return Read(raw)
})

// Load returns the schema, or skips the test if its file is not named.
func Load(t testing.TB) *Schema {
	t.Helper()
	if os.Getenv(Variable) == "" {
		t.Skipf("set %s to the file of the Open Responses schema (openapi.json) to run this test", Variable)
	}
	s, err := load()
	if err != nil {
		t.Fatalf("reading the Open Responses schema: %v", err)
	}
	return s
}

// Read reads the schema, an OpenAPI 3.1 document.
func Read(raw []byte) (*Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	root, ok := doc.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the schema is no object")
	}
	s := &Schema{doc: root, compiler: jsonschema.NewCompiler(), events: map[string]string{}, compiled: map[string]*jsonschema.Schema{}}
	s.compiler.DefaultDraft(jsonschema.Draft2020)
	if err := s.compiler.AddResource(address, doc); err != nil {
		return nil, err
	}
	components, _ := root["components"].(map[string]any)
	schemas, _ := components["schemas"].(map[string]any)
	for name, v := range schemas {
		if kind := eventType(v); kind != "" && strings.HasSuffix(name, "StreamingEvent") {
			s.events[kind] = name
		}
	}
	if len(s.events) == 0 {
		return nil, fmt.Errorf("the schema has no events")
	}
	return s, nil
}

// eventType returns the only value that the member type of a schema may have.
func eventType(v any) string {
	for _, key := range []string{"properties", "type"} {
		m, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		v = m[key]
	}
	m, _ := v.(map[string]any)
	values, _ := m["enum"].([]any)
	if len(values) != 1 {
		return ""
	}
	s, _ := values[0].(string)
	return s
}

// Check reports what is wrong with a JSON value that should be a component of the schema: "ResponseResource".
func (s *Schema) Check(component string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.compiled[component]
	if c == nil {
		var err error
		if c, err = s.compiler.Compile(address + "#/components/schemas/" + component); err != nil {
			return err
		}
		s.compiled[component] = c
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(value))
	if err != nil {
		return err
	}
	return c.Validate(v)
}

// Response checks a whole response object.
func (s *Schema) Response(value []byte) error { return s.Check("ResponseResource", value) }

// Stream checks an event stream: every event by the schema of its type, and the names and numbers of the events. Events
// of types that the specification does not have are listed in extra and not checked.
func (s *Schema) Stream(stream []byte) (extra []string, err error) {
	next := 0
	for block := range strings.SplitSeq(strings.ReplaceAll(string(stream), "\r\n", "\n"), "\n\n") {
		name, data := "", ""
		for line := range strings.Lines(block) {
			line = strings.TrimRight(line, "\n")
			if v, ok := strings.CutPrefix(line, "event: "); ok {
				name = v
			}
			if v, ok := strings.CutPrefix(line, "data: "); ok {
				data = v
			}
		}
		if data == "" {
			continue
		}
		var head struct {
			Type   string `json:"type"`
			Number *int   `json:"sequence_number"`
		}
		if err := json.Unmarshal([]byte(data), &head); err != nil {
			return extra, fmt.Errorf("event %d is no JSON: %w", next, err)
		}
		if head.Type != name {
			return extra, fmt.Errorf("event %d is called %q and has the type %q", next, name, head.Type)
		}
		if head.Number == nil || *head.Number != next {
			return extra, fmt.Errorf("event %d (%s) has the number %v", next, name, head.Number)
		}
		next++
		schema := s.events[head.Type]
		if schema == "" {
			extra = append(extra, head.Type)
			continue
		}
		if err := s.Check(schema, []byte(data)); err != nil {
			return extra, fmt.Errorf("event %d (%s): %w", next-1, name, err)
		}
	}
	if next == 0 {
		return extra, fmt.Errorf("there are no events")
	}
	return extra, nil
}
