package wire

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

type schemaCase struct{ name, in, want string }

func runSchema(t *testing.T, cases []schemaCase, f func(jsontext.Value) jsontext.Value) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			in := jsontext.Value(c.in)
			if diff := cmp.Diff(c.want, string(f(in))); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if string(in) != c.in {
				t.Errorf("the source was written to: %s", in)
			}
		})
	}
}

func TestRepairSchemaMendsShapes(t *testing.T) {
	runSchema(t, []schemaCase{
		{"missing", ``, emptySchema},
		{"null", `null`, emptySchema},
		{"a string", `"x"`, emptySchema},
		{"empty object", `{}`, emptySchema},
		{"type null", `{"type":null,"properties":{"a":{"type":"string"}}}`, `{"type":"object","properties":{"a":{"type":"string"}}}`},
		{"properties without a type", `{"properties":{}}`, `{"type":"object","properties":{}}`},
		{"object without properties", `{"type":"object"}`, `{"type":"object","properties":{}}`},
		{"empty array for properties", `{"type":"object","properties":[]}`, `{"type":"object","properties":{}}`},
		{"bare properties", `{"city":{"type":"string"},"n":{"type":"integer"}}`,
			`{"type":"object","properties":{"city":{"type":"string"},"n":{"type":"integer"}}}`},
		{"bare properties named like keywords", `{"type":{"type":"string"},"title":{"type":"string"}}`,
			`{"type":"object","properties":{"type":{"type":"string"},"title":{"type":"string"}}}`},
		{"unknown member is no property", `{"x-meta":{"a":1}}`, `{"type":"object","x-meta":{"a":1},"properties":{}}`},
		{"required as a boolean", `{"type":"object","properties":{"a":{"type":"string","required":true},"b":{"type":"string","required":false}}}`,
			`{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}},"required":["a"]}`},
		{"required boolean joins the list", `{"type":"object","properties":{"a":{"type":"string","required":true},"b":{}},"required":["b","a"]}`,
			`{"type":"object","properties":{"a":{"type":"string"},"b":{}},"required":["b","a"]}`},
		{"required names that do not exist", `{"type":"object","properties":{"a":{}},"required":["b","a",3]}`, `{"type":"object","properties":{"a":{}},"required":["a"]}`},
		{"nothing left to require", `{"type":"object","properties":{},"required":["b"]}`, `{"type":"object","properties":{}}`},
		{"required null", `{"type":"object","properties":{},"required":null}`, `{"type":"object","properties":{}}`},
		{"upper-case types", `{"type":"OBJECT","properties":{"a":{"type":"ARRAY","items":{"type":["STRING","NULL"]}}}}`,
			`{"type":"object","properties":{"a":{"type":"array","items":{"type":["string","null"]}}}}`},
		{"type inside data stays", `{"type":"object","properties":{"a":{"enum":["OBJECT"],"default":{"type":"OBJECT"}}}}`,
			`{"type":"object","properties":{"a":{"enum":["OBJECT"],"default":{"type":"OBJECT"}}}}`},
		{"branches at the root stay", `{"anyOf":[{"type":"object","properties":{}}]}`, `{"anyOf":[{"type":"object","properties":{}}]}`},
		{"nested in map and list", `{"type":"object","properties":{"a":{"anyOf":[{"type":"OBJECT"}],"patternProperties":{"^x":{"type":"INTEGER"}}}}}`,
			`{"type":"object","properties":{"a":{"anyOf":[{"type":"object","properties":{}}],"patternProperties":{"^x":{"type":"integer"}}}}}`},
	}, RepairSchema)
}

func TestSchemasThatNeedNothingStayByteForByte(t *testing.T) {
	s := "{ \"type\" : \"object\",\n \"properties\":{\"title\":{\"type\":\"string\",\"default\":\"<a&b>\"}, \"n\":{\"type\":\"number\",\"minimum\":1.50e0}}," +
		" \"required\":[ \"title\",\"n\" ], \"additionalProperties\":false , \"x\":\"\\u00e9\"}"
	for name, f := range map[string]func(jsontext.Value) jsontext.Value{
		"repair": RepairSchema, "claude": SchemaForClaude,
		"openai": func(v jsontext.Value) jsontext.Value { out, _ := SchemaForOpenAI(v, false); return out },
		"strict": func(v jsontext.Value) jsontext.Value { out, _ := SchemaForOpenAI(v, true); return out },
		"gemini": func(v jsontext.Value) jsontext.Value { return SchemaForGemini(v, false) },
	} {
		if diff := cmp.Diff(s, string(f(jsontext.Value(s)))); diff != "" {
			t.Errorf("%s -want +got\n%s", name, diff)
		}
	}
}

func TestPropertiesNamedLikeKeywordsAreData(t *testing.T) {
	props := `{"$ref":{"type":"string"},"title":{"type":"string"},"format":{"type":"string"},"default":{"type":"string"},"anyOf":{"type":"string"},"$schema":{"type":"string"},"required":{"type":"string"}}`
	s := `{"type":"object","properties":` + props + `}`
	if got := string(SchemaForClaude(jsontext.Value(s))); got != s {
		t.Errorf("claude: %s", got)
	}
	if got := string(SchemaForGemini(jsontext.Value(s), false)); got != s {
		t.Errorf("gemini: %s", got)
	}
	want := strings.ReplaceAll(strings.ReplaceAll(s, `"object"`, `"OBJECT"`), `"string"`, `"STRING"`)
	if diff := cmp.Diff(want, string(SchemaForGemini(jsontext.Value(s), true))); diff != "" {
		t.Errorf("gemini strict -want +got\n%s", diff)
	}
}

func TestSchemaForClaude(t *testing.T) {
	runSchema(t, []schemaCase{
		{"draft keywords pass", `{"$schema":"s","type":"object","properties":{"a":{"const":1,"not":{}}},"additionalProperties":false}`,
			`{"$schema":"s","type":"object","properties":{"a":{"const":1,"not":{}}},"additionalProperties":false}`},
		{"anyOf at the root is merged, nothing more is required", `{"anyOf":[{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]},{"type":"object","properties":{"b":{"type":"string"}}}]}`,
			`{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}}}`},
		{"allOf at the root keeps what is required", `{"type":"object","allOf":[{"properties":{"a":{"type":"string"}},"required":["a"],"description":"d"},{"properties":{"b":{"type":"string"}}}]}`,
			`{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}},"required":["a"],"description":"d"}`},
		{"one name in two branches", `{"type":"object","properties":{},"oneOf":[{"properties":{"k":{"const":"a"}}},{"properties":{"k":{"const":"b"}}},{"properties":{"k":{"const":"a"}}}]}`,
			`{"type":"object","properties":{"k":{"anyOf":[{"const":"a"},{"const":"b"}]}}}`},
		{"branches in branches", `{"type":"object","properties":{},"allOf":[{"anyOf":[{"properties":{"a":{}}},true]}]}`, `{"type":"object","properties":{"a":{}}}`},
		{"branches below the root stay", `{"type":"object","properties":{"a":{"anyOf":[{"type":"string"},{"type":"null"}]}}}`,
			`{"type":"object","properties":{"a":{"anyOf":[{"type":"string"},{"type":"null"}]}}}`},
		{"object or null at the root", `{"type":["object","null"],"properties":{}}`, `{"type":"object","properties":{}}`},
		{"a reference with siblings", `{"type":"object","properties":{"a":{"$ref":"#/$defs/x","description":"mine"}},"$defs":{"x":{"type":"string","description":"theirs"}}}`,
			`{"type":"object","properties":{"a":{"type":"string","description":"mine"}}}`},
		{"a reference at the root", `{"$ref":"#/definitions/Foo","definitions":{"Foo":{"type":"object","properties":{"a":{"type":"string"}}}},"$schema":"s"}`,
			`{"type":"object","properties":{"a":{"type":"string"}},"$schema":"s"}`},
		{"references to references", `{"type":"object","properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":{"type":"array","items":{"$ref":"#/$defs/y~1z"}},"y/z":{"type":"integer"}}}`,
			`{"type":"object","properties":{"a":{"type":"array","items":{"type":"integer"}}}}`},
		{"a reference to a property, as zod writes it", `{"type":"object","properties":{"a":{"type":"string"},"b":{"$ref":"#/properties/a"}}}`,
			`{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}}}`},
		{"a reference into a list", `{"type":"object","properties":{"a":{"anyOf":[{"type":"string"}]},"b":{"$ref":"#/properties/a/anyOf/0"}}}`,
			`{"type":"object","properties":{"a":{"anyOf":[{"type":"string"}]},"b":{"type":"string"}}}`},
		{"a reference to a boolean", `{"type":"object","properties":{"a":{"$ref":"#/$defs/any"},"b":{"$ref":"#/$defs/any","title":"t"}},"$defs":{"any":true}}`,
			`{"type":"object","properties":{"a":true,"b":{"title":"t"}}}`},
		{"a cycle is cut", `{"type":"object","properties":{"n":{"$ref":"#/$defs/node"}},"$defs":{"node":{"type":"object","properties":{"next":{"$ref":"#/$defs/node"}}}}}`,
			`{"type":"object","properties":{"n":{"type":"object","properties":{"next":{"type":"object","description":"recursive: node"}}}}}`},
		{"a cycle of two", `{"type":"object","properties":{"n":{"$ref":"#/$defs/a"}},"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}`,
			`{"type":"object","properties":{"n":{"type":"object","description":"recursive: a"}}}`},
		{"the schema inside itself", `{"type":"object","properties":{"n":{"$ref":"#"}}}`,
			`{"type":"object","properties":{"n":{"type":"object","description":"recursive: the whole schema"}}}`},
		{"references that lead nowhere stay", `{"type":"object","properties":{"a":{"$ref":"#/$defs/none"},"b":{"$ref":"http://x/y"},"c":{"$ref":"#/properties/a/5"}},"$defs":{}}`,
			`{"type":"object","properties":{"a":{"$ref":"#/$defs/none"},"b":{"$ref":"http://x/y"},"c":{"$ref":"#/properties/a/5"}},"$defs":{}}`},
	}, SchemaForClaude)
}

func TestSchemaForOpenAI(t *testing.T) {
	for _, c := range []struct {
		name, in, want string
		strict, ok     bool
	}{
		{"no schema word", `{"$schema":"s","type":"object","properties":{}}`, `{"type":"object","properties":{}}`, false, false},
		{"closed and all required", `{"type":"object","properties":{"a":{"type":["string","null"]}},"required":["a"],"additionalProperties":false}`, "", true, true},
		{"an optional property", `{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}},"required":["a"],"additionalProperties":false}`, "", true, false},
		{"an open object", `{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}`, "", true, false},
		{"an open object inside", `{"type":"object","properties":{"a":{"type":"array","items":{"type":"object","properties":{}}}},"required":["a"],"additionalProperties":false}`, "", true, false},
		{"a refused keyword", `{"type":"object","properties":{"a":{"type":"string","default":"x"}},"required":["a"],"additionalProperties":false}`, "", true, false},
		{"recursion is allowed in strict", `{"type":"object","properties":{"a":{"anyOf":[{"$ref":"#"},{"type":"null"}]}},"required":["a"],"additionalProperties":false}`, "", true, true},
		{"a reference elsewhere", `{"type":"object","properties":{"a":{"$ref":"http://x"}},"required":["a"],"additionalProperties":false}`, "", true, false},
		{"nothing", `null`, emptySchema, true, false},
		{"words the root may not have", `{"type":"object","properties":{},"enum":[{}],"not":{"type":"string"},"anyOf":[{"required":["a"]}]}`, emptySchema, true, false},
		{"an array at the root", `{"type":"array","items":{"type":"string"}}`, "", true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, ok := SchemaForOpenAI(jsontext.Value(c.in), c.strict)
			if c.want == "" {
				c.want = c.in
			}
			if diff := cmp.Diff(c.want, string(out)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if ok != c.ok {
				t.Errorf("strict %v, want %v", ok, c.ok)
			}
		})
	}
}

func TestSchemaForGeminiAsJSONSchema(t *testing.T) {
	runSchema(t, []schemaCase{
		{"annotations go", `{"$schema":"s","$id":"i","type":"OBJECT","properties":{"$id":{"$comment":"c","type":"STRING"}},"additionalProperties":false}`,
			`{"type":"object","properties":{"$id":{"type":"string"}},"additionalProperties":false}`},
		{"branches stay", `{"type":"object","properties":{"a":{"oneOf":[{"const":1},{"type":"null"}]}}}`, `{"type":"object","properties":{"a":{"oneOf":[{"const":1},{"type":"null"}]}}}`},
		{"nothing", ``, emptySchema},
	}, func(v jsontext.Value) jsontext.Value { return SchemaForGemini(v, false) })
}

func TestSchemaForGeminiStrict(t *testing.T) {
	prop := func(in, want string) schemaCase {
		return schemaCase{"", `{"type":"object","properties":{"a":` + in + `}}`, `{"type":"OBJECT","properties":{"a":` + want + `}}`}
	}
	named := func(name string, c schemaCase) schemaCase { c.name = name; return c }
	runSchema(t, []schemaCase{
		{"the worked example", `{"$schema":"x","type":"object","properties":{"command":{"type":"string"},"n":{"type":"integer","exclusiveMinimum":0}},"required":["command"],"additionalProperties":false}`,
			`{"type":"OBJECT","description":"no extra properties","properties":{"command":{"type":"STRING"},"n":{"type":"INTEGER","minimum":1}},"required":["command"]}`},
		named("allowed members stay", prop(`{"type":"string","title":"t","description":"d","minLength":1,"maxLength":9,"pattern":"^a","default":"a","example":"a","nullable":true}`,
			`{"type":"STRING","title":"t","description":"d","minLength":1,"maxLength":9,"pattern":"^a","default":"a","example":"a","nullable":true}`)),
		named("const", prop(`{"const":"x"}`, `{"type":"STRING","enum":["x"]}`)),
		named("enum of numbers", prop(`{"type":"integer","enum":[1,2.50,true,null],"const":1,"default":1}`, `{"type":"STRING","enum":["1","2.50","true"],"default":"1","nullable":true}`)),
		named("type list", prop(`{"type":["null","integer","string"]}`, `{"type":"INTEGER","nullable":true}`)),
		named("only null", prop(`{"type":["null"]}`, `{"type":"NULL"}`)),
		named("nullable enum", prop(`{"type":["string","null"],"enum":["a"]}`, `{"type":"STRING","enum":["a"],"nullable":true}`)),
		named("choice of one and null", prop(`{"anyOf":[{"type":"string","minLength":2},{"type":"null"}],"description":"d"}`, `{"type":"STRING","description":"d","minLength":2,"nullable":true}`)),
		named("choice in a choice", prop(`{"oneOf":[{"anyOf":[{"type":"string"},{"type":"null"}]}]}`, `{"type":"STRING","nullable":true}`)),
		named("oneOf becomes anyOf alone", prop(`{"description":"d","oneOf":[{"type":"string"},{"type":"integer","description":"own"},{"type":"null"}]}`,
			`{"anyOf":[{"type":"STRING","description":"d","nullable":true},{"type":"INTEGER","description":"own","nullable":true}]}`)),
		named("branches of an object are folded in", prop(`{"type":"object","properties":{"x":{"type":"string"}},"anyOf":[{"properties":{"y":{"type":"string"}},"required":["y"]},{"required":["x"]}]}`,
			`{"type":"OBJECT","properties":{"x":{"type":"STRING"},"y":{"type":"STRING"}}}`)),
		named("allOf is merged", prop(`{"allOf":[{"type":"object","properties":{"x":{"type":"string"}},"required":["x"]},{"allOf":[{"properties":{"y":{"type":"number"}}}]}]}`,
			`{"type":"OBJECT","properties":{"x":{"type":"STRING"},"y":{"type":"NUMBER"}},"required":["x"]}`)),
		named("open limits", prop(`{"type":"number","exclusiveMinimum":0.5,"exclusiveMaximum":2}`, `{"type":"NUMBER","minimum":0.5,"maximum":2}`)),
		named("open limits of an integer", prop(`{"type":"integer","minimum":3,"exclusiveMinimum":1,"exclusiveMaximum":10}`, `{"type":"INTEGER","minimum":3,"maximum":9}`)),
		named("open limits of draft 4", prop(`{"type":"integer","minimum":3,"exclusiveMinimum":true}`, `{"type":"INTEGER","minimum":4}`)),
		named("the bounds that zod writes", prop(`{"type":"integer","minimum":-9007199254740991,"exclusiveMaximum":9007199254740991}`, `{"type":"INTEGER"}`)),
		named("formats", prop(`{"type":"string","format":"date-time"}`, `{"type":"STRING","format":"date-time"}`)),
		named("unknown format", prop(`{"type":"string","format":"uri","description":"where"}`, `{"type":"STRING","description":"where (format uri)"}`)),
		named("an array needs items", prop(`{"type":"array","uniqueItems":true}`, `{"type":"ARRAY","description":"no item twice","items":{"type":"STRING"}}`)),
		named("a tuple", prop(`{"prefixItems":[{"type":"string"},{"type":"integer"}]}`, `{"type":"ARRAY","description":"a tuple of 2","items":{"anyOf":[{"type":"STRING"},{"type":"INTEGER"}]}}`)),
		named("a tuple of one, draft 7", prop(`{"type":"array","items":[{"type":"string"}]}`, `{"type":"ARRAY","items":{"type":"STRING"}}`)),
		named("hints", prop(`{"type":"object","patternProperties":{"^x":{}},"propertyNames":{"maxLength":3},"not":{"a":1},"contains":{},"multipleOf":2,"examples":[1],"if":{"b":1},"then":{}}`,
			`{"type":"OBJECT","description":"property names may match ^x; property names: {\"maxLength\":3}; not {\"a\":1}; contains {}; a multiple of 2; examples: [1]; if {\"b\":1} then {} else nothing","properties":{}}`)),
		named("members of the wrong kind go", prop(`{"type":"string","title":3,"minLength":"x","propertyOrdering":1,"format":2,"x-y":1,"required":["q"]}`, `{"type":"STRING"}`)),
		named("anything", prop(`true`, `{}`)),
		named("a reference that leads nowhere", prop(`{"$ref":"#/x"}`, `{"type":"OBJECT","description":"see \"#/x\""}`)),
		{"nothing", ``, `{"type":"OBJECT","properties":{}}`},
		{"a list at the root", `{"type":"array","items":{"type":"string"}}`, `{"type":"ARRAY","items":{"type":"STRING"}}`},
	}, func(v jsontext.Value) jsontext.Value { return SchemaForGemini(v, true) })
}

func TestSchemaCostIsBounded(t *testing.T) {
	var b strings.Builder // every definition names the next one twice: 2^40 when written out
	b.WriteString(`{"type":"object","properties":{"a":{"$ref":"#/$defs/d0"}},"$defs":{`)
	for i := range 40 {
		n := string(rune('0'+i/10)) + string(rune('0'+i%10))
		m := string(rune('0'+(i+1)/10)) + string(rune('0'+(i+1)%10))
		if i == 0 {
			n = "0"
		}
		b.WriteString(`"d` + n + `":{"type":"object","properties":{"l":{"$ref":"#/$defs/d` + m + `"},"r":{"$ref":"#/$defs/d` + m + `"}}},`)
	}
	b.WriteString(`"d40":{"type":"string"}}}`)
	for _, out := range []jsontext.Value{SchemaForClaude(jsontext.Value(b.String())), SchemaForGemini(jsontext.Value(b.String()), true)} {
		if len(out) > 8<<20 || !out.IsValid() {
			t.Errorf("%d bytes", len(out))
		}
	}
	deep := strings.Repeat(`{"type":"array","items":`, 5000) + `{}` + strings.Repeat(`}`, 5000)
	if got := string(RepairSchema(jsontext.Value(deep))); got != deep {
		t.Error("a deep schema was changed")
	}
	if out := SchemaForGemini(jsontext.Value(deep), true); !out.IsValid() || len(out) > 8<<10 {
		t.Errorf("%d bytes", len(out))
	}
	huge := jsontext.Value(`{"type":"object","description":"` + strings.Repeat("x", maxSchemaBytes) + `"}`)
	if got := RepairSchema(huge); len(got) != len(huge) {
		t.Error("a huge schema was changed")
	}
}

func FuzzSchema(f *testing.F) {
	for _, s := range []string{
		emptySchema, `{"anyOf":[{"type":"object","properties":{"a":{"const":1}}},{"type":"null"}]}`,
		`{"type":"object","properties":{"n":{"$ref":"#/$defs/a"}},"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"items":[{"$ref":"#"}]}}}`,
		`{"type":["OBJECT"],"properties":{"a":{"exclusiveMinimum":1,"enum":[1,null],"allOf":[{"oneOf":[{"type":"null"},{}]}]}},"required":["a"]}`,
		`{"a":{"type":"string","required":true}}`, `{"items":[true,{"prefixItems":[{}]}],"not":{"not":{}}}`, "{\"\xff\":{\"type\":\"string\"}}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in := jsontext.Value(data)
		if !in.IsValid(Lenient) {
			return
		}
		strict, ok := SchemaForOpenAI(in, true)
		for name, out := range map[string]jsontext.Value{
			"repair": RepairSchema(in), "claude": SchemaForClaude(in), "openai": strict, "gemini": SchemaForGemini(in, false), "gemini strict": SchemaForGemini(in, true),
		} {
			if !out.IsValid(Lenient) || out.Kind() != '{' {
				t.Fatalf("%s: %s", name, out)
			}
			if again := RepairSchema(RepairSchema(in)); string(again) != string(RepairSchema(in)) {
				t.Fatalf("mending twice changes: %s", again)
			}
		}
		if again, still := SchemaForOpenAI(strict, true); ok && (!still || string(again) != string(strict)) {
			t.Fatalf("%s is strict, %s is not", strict, again)
		}
	})
}
