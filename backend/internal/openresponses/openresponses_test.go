package openresponses

import (
	"strings"
	"testing"
)

// small is a document of the same form as the published one.
const small = `{"openapi":"3.1.0","components":{"schemas":{
 "ResponseResource":{"type":"object","properties":{"id":{"type":"string"},"usage":{"anyOf":[{"$ref":"#/components/schemas/Usage"},{"type":"null"}]}},"required":["id","usage"]},
 "Usage":{"type":"object","properties":{"input_tokens":{"type":"integer"}},"required":["input_tokens"]},
 "ResponseCreatedStreamingEvent":{"type":"object","properties":{"type":{"type":"string","enum":["response.created"]},"response":{"allOf":[{"$ref":"#/components/schemas/ResponseResource"}]}},"required":["type","response"]}}}}`

func TestResponsesAreChecked(t *testing.T) {
	s, err := Read([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	for value, ok := range map[string]bool{
		`{"id":"r","usage":null}`:                 true,
		`{"id":"r","usage":{"input_tokens":1}}`:   true,
		`{"id":"r","usage":{"input_tokens":"1"}}`: false,
		`{"id":"r"}`: false, `{"usage":null}`: false, `{"id":1,"usage":null}`: false, `{`: false,
	} {
		if err := s.Response([]byte(value)); (err == nil) != ok {
			t.Errorf("%s: %v", value, err)
		}
	}
	if s.Check("Nothing", []byte(`{}`)) == nil {
		t.Error("a component that is not there was checked")
	}
}

func TestStreamsAreChecked(t *testing.T) {
	s, err := Read([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	good := "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"r\",\"usage\":null}}\n\n"
	extra, err := s.Stream([]byte(": ping\n\n" + good + "event: other\ndata: {\"type\":\"other\",\"sequence_number\":1}\n\n"))
	if err != nil || len(extra) != 1 || extra[0] != "other" {
		t.Errorf("%v %v", extra, err)
	}
	for what, stream := range map[string]string{
		"nothing":      ": ping\n\n",
		"wrong number": strings.Replace(good, `number":0`, `number":1`, 1),
		"no number":    strings.Replace(good, `"sequence_number":0,`, "", 1),
		"wrong name":   strings.Replace(good, "event: response.created", "event: x", 1),
		"no JSON":      "event: x\ndata: {\n\n",
		"wrong type":   strings.Replace(good, `"id":"r"`, `"id":1`, 1),
	} {
		if _, err := s.Stream([]byte(stream)); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
}

func TestDocumentsThatAreNone(t *testing.T) {
	for _, raw := range []string{"", "[]", "{}", `{"components":{"schemas":{"XStreamingEvent":{"properties":{"type":1}}}}}`} {
		if _, err := Read([]byte(raw)); err == nil {
			t.Errorf("%q was taken", raw)
		}
	}
}

func TestPublishedSchemaCompiles(t *testing.T) {
	s := Load(t)
	if err := s.Response([]byte(`{}`)); err == nil || !strings.Contains(err.Error(), "required") && !strings.Contains(err.Error(), "missing") {
		t.Errorf("%v", err)
	}
	for _, component := range s.events {
		if err := s.Check(component, []byte(`{}`)); err == nil {
			t.Errorf("%s takes an empty object", component)
		}
	}
}
