package wire

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestSchemaForKiro(t *testing.T) {
	const empty = `{"type":"object","properties":{}}`
	for in, want := range map[string]string{
		``:                    empty,
		`null`:                empty,
		`[]`:                  empty,
		`{"type":"string"}`:   empty,
		`{"type":"object"}`:   empty,
		`{"properties":null}`: empty,
		`{"type":"object","properties":{"a":true},"required":["a"]}`:                                                                                     `{"type":"object","properties":{"a":{}},"required":["a"]}`,
		`{"type":"object","properties":{"a":{"type":"string"}},"required":[]}`:                                                                           `{"type":"object","properties":{"a":{"type":"string"}}}`,
		`{"type":"object","properties":{"a":{"type":"string"}},"required":["a",1]}`:                                                                      `{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}`,
		`{"type":"object","properties":{"additionalProperties":{"type":"string"}},"additionalProperties":false,"$id":1}`:                                 `{"type":"object","properties":{"additionalProperties":{"type":"string"}}}`,
		`{"anyOf":[{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]},{"type":"object","properties":{"b":{"type":"string"}}}]}`:     `{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}}}`,
		`{"type":"object","properties":{"a":{"anyOf":[{"type":"string","pattern":"x"},{"type":"null"}],"description":"d"}}}`:                             `{"type":"object","properties":{"a":{"description":"d [pattern x]","type":"string"}}}`,
		`{"type":"object","properties":{"a":{"oneOf":[{"type":"string"},{"type":"integer"}]}}}`:                                                          `{"type":"object","properties":{"a":{"anyOf":[{"type":"string"},{"type":"integer"}]}}}`,
		`{"type":"object","properties":{"a":{"oneOf":[{"type":"string"},{"type":"object","properties":{"x":{"type":"number","exclusiveMinimum":0}}}]}}}`: `{"type":"object","properties":{"a":{"type":"object","properties":{"x":{"type":"number","description":"[exclusiveMinimum 0]"}}}}}`,
		`{"type":"object","properties":{"a":{"allOf":[{"type":"object","properties":{"x":{}}},{"type":"object","properties":{"y":{}}}]}}}`:               `{"type":"object","properties":{"a":{"type":"object","properties":{"x":{},"y":{}}}}}`,
		`{"type":"object","properties":{"a":{"const":5}},"if":{},"then":{},"not":{}}`:                                                                    `{"type":"object","properties":{"a":{"enum":[5]}}}`,
		`{"type":"object","properties":{"a":{"type":["null","string"],"nullable":true,"format":"date"}}}`:                                                `{"type":"object","properties":{"a":{"type":"string","description":"[format date]"}}}`,
		`{"$defs":{"N":{"type":"object","properties":{"n":{"$ref":"#/$defs/N"}}}},"type":"object","properties":{"n":{"$ref":"#/$defs/N"}}}`:              `{"type":"object","properties":{"n":{"type":"object","properties":{"n":{"type":"object","description":"recursive: N"}}}}}`,
		`{"type":"object","properties":{"a":{"anyOf":7}}}`:                                                                                               `{"type":"object","properties":{"a":{}}}`,
	} {
		if got := string(SchemaForKiro(jsontext.Value(in))); got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
}
