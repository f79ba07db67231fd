package wire

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestSchemaForAssist(t *testing.T) {
	cli, tools := AssistSchema{}, AssistSchema{Nullable: true, NoEnums: true, NoBounds: true}
	output, claude := AssistSchema{Nullable: true, NoBounds: true, Closed: true}, AssistSchema{Nullable: true, NoEnums: true, NoBounds: true, Placeholders: true}
	const empty = `{"type":"object","properties":{}}`
	for _, c := range []struct {
		name string
		o    AssistSchema
		in   string
		want string
	}{
		{"nothing", cli, ``, empty},
		{"no JSON", cli, `{"type":`, empty},
		{"a bare map", cli, `{"a":{"type":"string"}}`, `{"type":"object","properties":{"a":{"type":"string"}}}`},
		{"names that are keywords", cli, `{"type":"object","properties":{"format":{"type":"string"},"default":{"type":"number"},"$ref":{"type":"string"}},"required":["format","gone"]}`,
			`{"type":"object","properties":{"format":{"type":"string"},"default":{"type":"number"},"$ref":{"type":"string"}},"required":["format"]}`},
		{"null leaves required", cli, `{"type":"object","properties":{"a":{"type":["string","null"]},"b":{"anyOf":[{"type":"integer"},{"type":"null"}]}},"required":["a","b"]}`,
			`{"type":"object","properties":{"a":{"type":"string","description":"nullable"},"b":{"type":"integer","description":"nullable"}}}`},
		{"null is said", tools, `{"type":"object","properties":{"a":{"type":["string","null"]}},"required":["a"]}`,
			`{"type":"object","properties":{"a":{"type":"string","nullable":true}},"required":["a"]}`},
		{"constants", cli, `{"type":"object","properties":{"a":{"const":1},"b":{"enum":["x",2,null,""]},"c":{"type":"integer","enum":[1,2]}}}`,
			`{"type":"object","properties":{"a":{"type":"string","description":"Allowed: 1","enum":["1"]},"b":{"type":"string","description":"Allowed: x, 2; nullable","enum":["x","2"]},` +
				`"c":{"type":"integer","description":"Allowed: 1, 2"}}}`},
		{"no lists of values for tools", tools, `{"type":"object","properties":{"a":{"type":"string","description":"Which","enum":["x","y"]}}}`,
			`{"type":"object","properties":{"a":{"type":"string","description":"Which (Allowed: x, y)"}}}`},
		{"answers keep them", output, `{"type":"object","properties":{"a":{"type":"string","enum":["x","y"]}},"additionalProperties":false}`,
			`{"type":"object","properties":{"a":{"type":"string","description":"Allowed: x, y","enum":["x","y"]}},"additionalProperties":false}`},
		{"the best branch", cli, `{"type":"object","properties":{"a":{"anyOf":[{"type":"string"},{"type":"array","items":{"type":"string"}},{"type":"object","properties":{"x":{"type":"string"}}}]},` +
			`"b":{"oneOf":[{"type":"string"},{"type":"array","items":{"type":"integer"}}]},"c":{"anyOf":[{"anyOf":[{"type":"boolean"}]}]},"d":{"anyOf":[{"type":"null"}]}}}`,
			`{"type":"object","properties":{"a":{"type":"object","description":"Accepts: string | array | object","properties":{"x":{"type":"string"}}},` +
				`"b":{"type":"array","description":"Accepts: string | array","items":{"type":"integer"}},"c":{"type":"boolean"},"d":{"type":"string","description":"nullable"}}}`},
		{"branches of an object", cli, `{"type":"object","properties":{"a":{"type":"string"}},"anyOf":[{"required":["a"]},{"properties":{"b":{"type":"string"}}}]}`,
			`{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}}}`},
		{"all of", cli, `{"allOf":[{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]},{"properties":{"b":{"type":"string"}}}]}`,
			`{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}},"required":["a"]}`},
		{"then and else", tools, `{"type":"object","properties":{"a":{"type":"string"}},"if":{},"then":{"properties":{"b":{"type":"string"},"a":{"type":"integer"}}},"else":{"properties":{"c":{"type":"string"}}}}`,
			`{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"},"c":{"type":"string"}}}`},
		{"references", cli, `{"type":"object","properties":{"a":{"$ref":"#/$defs/n"},"b":{"$ref":"http://else/where"}},"$defs":{"n":{"type":"object","properties":{"next":{"$ref":"#/$defs/n"}}}}}`,
			`{"type":"object","properties":{"a":{"type":"object","properties":{"next":{"type":"object","description":"recursive: n","properties":{}}}},"b":{"type":"string","description":"$ref: http://else/where"}}}`},
		{"limits", cli, `{"type":"object","properties":{"n":{"type":"integer","minimum":1,"maximum":9007199254740991,"exclusiveMinimum":0,"multipleOf":2},"s":{"type":"string","pattern":"^a$","x-y":1}}}`,
			`{"type":"object","properties":{"n":{"type":"integer","description":"exclusiveMinimum: 0; multipleOf: 2","minimum":1},"s":{"type":"string","description":"pattern: ^a$"}}}`},
		{"limits as words", tools, `{"type":"object","properties":{"n":{"type":"integer","minimum":1,"maximum":5}}}`,
			`{"type":"object","properties":{"n":{"type":"integer","description":"minimum: 1; maximum: 5"}}}`},
		{"arrays", cli, `{"type":"object","properties":{"a":{"type":"array"},"b":{"prefixItems":[{"type":"integer"}],"type":"array"},"c":{"type":"array","items":[{"type":"boolean"}]},"d":{"items":true,"type":"array"}}}`,
			`{"type":"object","properties":{"a":{"type":"array","items":{"type":"string"}},"b":{"type":"array","items":{"type":"integer"}},"c":{"type":"array","items":{"type":"boolean"}},` +
				`"d":{"type":"array","items":{"type":"string"}}}}`},
		{"anything", cli, `{"type":"object","properties":{"a":true,"b":{}}}`, `{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}}}`},
		{"placeholders", claude, `{"type":"object","properties":{"a":{"type":"object"},"b":{"type":"object","properties":{"c":{"type":"string"}}}}}`,
			`{"type":"object","properties":{"a":{"type":"object","properties":{"reason":{"type":"string","description":"` + placeholderReason + `"}},"required":["reason"]},` +
				`"b":{"type":"object","properties":{"c":{"type":"string"},"_":{"type":"boolean","description":"` + placeholderFlag + `"}},"required":["_"]}}}`},
		{"a placeholder at the top", claude, `{}`, `{"type":"object","properties":{"reason":{"type":"string","description":"` + placeholderReason + `"}},"required":["reason"]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := SchemaForAssist(jsontext.Value(c.in), c.o)
			if string(got) != c.want || !got.IsValid() {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if again := SchemaForAssist(got, c.o); c.o == cli && string(again) != string(got) && c.name != "constants" {
				t.Errorf("not stable:\n%s", again)
			}
		})
	}
}

func TestStripPlaceholders(t *testing.T) {
	schema := SchemaForAssist(jsontext.Value(`{"type":"object","properties":{"reason":{"type":"string"},"a":{"type":"object"},"l":{"type":"array","items":{"type":"object","properties":{"c":{"type":"string"}}}}}}`),
		AssistSchema{Placeholders: true})
	for in, want := range map[string]string{
		`{"reason":"own","a":{"reason":"added"},"l":[{"c":"x","_":true},{"_":true}, 1]}`: `{"reason":"own","a":{},"l":[{"c":"x"},{},1]}`,
		`{"reason":"own"}`: `{"reason":"own"}`, `[]`: `[]`, `{"a":`: `{"a":`, `{"a":null,"z":{"_":1}}`: `{"a":null,"z":{"_":1}}`,
	} {
		if got := string(StripPlaceholders(jsontext.Value(in), schema)); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	plain := jsontext.Value(`{"_":1}`)
	if got := StripPlaceholders(plain, jsontext.Value(`{"type":"object"}`)); string(got) != string(plain) {
		t.Error(string(got))
	}
}

func FuzzSchemaForAssist(f *testing.F) {
	for _, s := range []string{`{}`, `{"anyOf":[{"type":"null"},{"oneOf":[{}]}]}`, `{"$ref":"#"}`, `{"type":["a"],"items":[{}],"enum":[1]}`, `{"properties":{"a":{"allOf":[{"$ref":"#/properties/a"}]}}}`} {
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, s string, all bool) {
		got := SchemaForAssist(jsontext.Value(s), AssistSchema{Nullable: all, NoEnums: all, NoBounds: all, Placeholders: all, Closed: !all})
		if !got.IsValid() && jsontext.Value(s).IsValid() {
			t.Fatalf("%s is no JSON", got)
		}
	})
}
