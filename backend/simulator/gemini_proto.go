package simulator

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The service reads requests as protocol buffers in JSON: names in camelCase
// or snake_case, every name that is not in the message refused. A field's kind
// is a scalar, the name of a message, `[]` before what repeats, `map:` before
// the values of a map, or `enum:` before an enumeration.
type protoMessage map[string]string

// geminiMessages are the messages that a request is made of (google.golang.org/genai
// v1.77.0, the fields it sends to the Gemini API; the Schema of its types.go).
var geminiMessages = map[string]protoMessage{
	"GenerateContentRequest": {
		"model": "string", "contents": "[]Content", "systemInstruction": "Content", "tools": "[]Tool", "toolConfig": "ToolConfig",
		"generationConfig": "GenerationConfig", "safetySettings": "[]SafetySetting", "cachedContent": "string", "serviceTier": "string", "store": "bool",
	},
	"CountTokensRequest": {"contents": "[]Content", "generateContentRequest": "GenerateContentRequest", "model": "string"},
	"EmbedContentRequest": {
		"model": "string", "content": "Content", "taskType": "string", "title": "string", "outputDimensionality": "int",
	},
	"BatchEmbedContentsRequest": {"requests": "[]EmbedContentRequest", "model": "string"},
	"Content":                   {"parts": "[]Part", "role": "string"},
	"Part": {
		"text": "string", "inlineData": "Blob", "fileData": "FileData", "functionCall": "FunctionCall", "functionResponse": "FunctionResponse",
		"executableCode": "struct", "codeExecutionResult": "struct", "toolCall": "struct", "toolResponse": "struct", "thought": "bool",
		"thoughtSignature": "bytes", "videoMetadata": "struct", "mediaResolution": "struct", "partMetadata": "struct",
	},
	"Blob":         {"mimeType": "string", "data": "bytes", "displayName": "string"},
	"FileData":     {"mimeType": "string", "fileUri": "string", "displayName": "string"},
	"FunctionCall": {"id": "string", "name": "string", "args": "struct"},
	"FunctionResponse": {
		"id": "string", "name": "string", "response": "struct", "parts": "[]FunctionResponsePart", "scheduling": "string", "willContinue": "bool",
	},
	"FunctionResponsePart": {"inlineData": "Blob", "fileData": "FileData"},
	"Tool": {
		"functionDeclarations": "[]FunctionDeclaration", "googleSearch": "struct", "googleSearchRetrieval": "struct", "codeExecution": "struct",
		"urlContext": "struct", "googleMaps": "struct", "computerUse": "struct", "fileSearch": "struct", "mcpServers": "[]struct",
	},
	"FunctionDeclaration": {
		"name": "string", "description": "string", "parameters": "Schema", "parametersJsonSchema": "value", "response": "Schema",
		"responseJsonSchema": "value", "behavior": "string",
	},
	"Schema": {
		"type": "enum:Type", "format": "string", "title": "string", "description": "string", "nullable": "bool", "enum": "[]string",
		"items": "Schema", "maxItems": "int", "minItems": "int", "properties": "map:Schema", "required": "[]string", "minProperties": "int",
		"maxProperties": "int", "minimum": "number", "maximum": "number", "minLength": "int", "maxLength": "int", "pattern": "string",
		"example": "value", "anyOf": "[]Schema", "propertyOrdering": "[]string", "default": "value",
	},
	"ToolConfig": {
		"functionCallingConfig": "FunctionCallingConfig", "retrievalConfig": "struct", "includeServerSideToolInvocations": "bool",
	},
	"FunctionCallingConfig": {"mode": "enum:FunctionCallingConfig.Mode", "allowedFunctionNames": "[]string"},
	"GenerationConfig": {
		"temperature": "number", "topP": "number", "topK": "number", "candidateCount": "int", "maxOutputTokens": "int", "stopSequences": "[]string",
		"seed": "int", "presencePenalty": "number", "frequencyPenalty": "number", "responseMimeType": "string", "responseSchema": "Schema",
		"responseJsonSchema": "value", "responseLogprobs": "bool", "logprobs": "int", "responseModalities": "[]string", "speechConfig": "struct",
		"thinkingConfig": "ThinkingConfig", "mediaResolution": "string", "imageConfig": "struct", "enableEnhancedCivicAnswers": "bool",
		"enableAffectiveDialog": "bool", "responseFormat": "struct",
	},
	"ThinkingConfig": {"includeThoughts": "bool", "thinkingBudget": "int", "thinkingLevel": "enum:ThinkingLevel"},
	"SafetySetting":  {"category": "enum:HarmCategory", "threshold": "enum:SafetySetting.HarmBlockThreshold"},
}

var geminiEnums = map[string][]string{
	"Type":                       {"TYPE_UNSPECIFIED", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"},
	"FunctionCallingConfig.Mode": {"MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"},
	"ThinkingLevel":              {"THINKING_LEVEL_UNSPECIFIED", "MINIMAL", "LOW", "MEDIUM", "HIGH"},
	"SafetySetting.HarmBlockThreshold": {
		"HARM_BLOCK_THRESHOLD_UNSPECIFIED", "BLOCK_LOW_AND_ABOVE", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_ONLY_HIGH", "BLOCK_NONE", "OFF",
	},
	"HarmCategory": {
		"HARM_CATEGORY_UNSPECIFIED", "HARM_CATEGORY_HARASSMENT", "HARM_CATEGORY_HATE_SPEECH", "HARM_CATEGORY_SEXUALLY_EXPLICIT",
		"HARM_CATEGORY_DANGEROUS_CONTENT", "HARM_CATEGORY_CIVIC_INTEGRITY",
	},
}

const geminiPackage = "type.googleapis.com/google.ai.generativelanguage.v1beta."

// protoReader reads a value as a message, gathers everything that does not fit
// and gives the value back with its names in camelCase.
type protoReader struct{ fields, words []string }

func (p *protoReader) bad(path, format string, args ...any) {
	p.fields, p.words = append(p.fields, path), append(p.words, fmt.Sprintf(format, args...))
}

// failure tells all that was found at once, as the service does.
func (p *protoReader) failure() *failure {
	if len(p.words) == 0 {
		return nil
	}
	list := []ordered{}
	for i := range p.words {
		list = append(list, obj("field", p.fields[i], "description", p.words[i]))
	}
	return &failure{kind: failInvalid, message: strings.Join(p.words, "\n"),
		details: []any{obj("@type", "type.googleapis.com/google.rpc.BadRequest", "fieldViolations", list)}}
}

func (p *protoReader) message(name string, v any, path string) any {
	m, ok := v.(map[string]any)
	if !ok {
		p.bad(path, "Invalid value at '%s' (%s%s), %s", path, geminiPackage, name, encode(v))
		return map[string]any{}
	}
	out := map[string]any{}
	for _, key := range sortedKeys(m) {
		camel := camelCase(key)
		kind, known := geminiMessages[name][camel]
		switch {
		case !known && path == "":
			p.bad(key, "Invalid JSON payload received. Unknown name \"%s\": Cannot find field.", key)
		case !known:
			p.bad(path, "Invalid JSON payload received. Unknown name \"%s\" at '%s': Cannot find field.", key, path)
		case m[key] != nil:
			out[camel] = p.field(kind, m[key], join(path, snakeCase(camel)), key, path)
		}
	}
	return out
}

// field reads the value of one field; key and parent are for the message about
// a list in the place of a single value.
func (p *protoReader) field(kind string, v any, path, key, parent string) any {
	list, isList := v.([]any)
	if each, repeats := strings.CutPrefix(kind, "[]"); repeats {
		if !isList {
			list = []any{v} // one value stands for a list of one
		}
		out := []any{}
		for i, one := range list {
			out = append(out, p.value(each, one, index(path, i)))
		}
		return out
	}
	if each, isMap := strings.CutPrefix(kind, "map:"); isMap {
		m, ok := v.(map[string]any)
		if !ok {
			p.bad(path, "Invalid value at '%s' (map), %s", path, encode(v))
		}
		out := map[string]any{}
		for i, name := range sortedKeys(m) {
			out[name] = p.value(each, m[name], path+"["+strconv.Itoa(i)+"].value")
		}
		return out
	}
	if isList && kind != "value" {
		p.bad(parent, "Invalid JSON payload received. Unknown name \"%s\" at '%s': Proto field is not repeating, cannot start list.", key, parent)
		return nil
	}
	return p.value(kind, v, path)
}

func (p *protoReader) value(kind string, v any, path string) any {
	if enum, ok := strings.CutPrefix(kind, "enum:"); ok {
		text, _ := v.(string)
		if !slices.Contains(geminiEnums[enum], strings.ToUpper(text)) {
			p.bad(path, "Invalid value at '%s' (%s%s), %s", path, geminiPackage, enum, encode(v))
		}
		return strings.ToUpper(text)
	}
	wrong := func(word string) { p.bad(path, "Invalid value at '%s' (%s), %s", path, word, encode(v)) }
	text, isText := v.(string)
	switch kind {
	case "value":
	case "struct":
		if _, ok := v.(map[string]any); !ok {
			wrong("type.googleapis.com/google.protobuf.Struct")
		}
	case "string":
		if !isText {
			wrong("TYPE_STRING")
		}
	case "bool":
		if _, ok := v.(bool); !ok {
			wrong("TYPE_BOOL")
		}
	case "int", "number":
		n, ok := v.(json.Number)
		if isText {
			n, ok = json.Number(text), true // 64-bit numbers travel as text
		}
		f, err := n.Float64()
		if !ok || err != nil || (kind == "int" && f != float64(int64(f))) {
			wrong(map[string]string{"int": "TYPE_INT32", "number": "TYPE_FLOAT"}[kind])
		}
		return n
	case "bytes":
		if _, err := anyBase64(text); !isText || err != nil {
			p.bad(path, "Invalid value at '%s' (TYPE_BYTES), Base64 decoding failed for %s", path, encode(v))
		}
	default:
		return p.message(kind, v, path)
	}
	return v
}

// anyBase64 reads the standard and the URL alphabet, padded or not.
func anyBase64(s string) ([]byte, error) {
	s = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(s), "=")
	return base64.RawStdEncoding.DecodeString(s)
}

func camelCase(s string) string {
	if !strings.Contains(s, "_") {
		return s
	}
	words := strings.Split(s, "_")
	for i := 1; i < len(words); i++ {
		if words[i] != "" {
			words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
		}
	}
	return strings.Join(words, "")
}

func snakeCase(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// schema checks what a Schema means, beyond its names.
func (c *geminiCheck) schema(s map[string]any, path string) {
	kind, _ := s["type"].(string)
	format, _ := s["format"].(string)
	switch {
	case kind == "STRING" && format != "" && format != "enum" && format != "date-time":
		c.star("%s.format: only 'enum' and 'date-time' are supported for STRING type", path)
	case kind != "STRING" && kind != "" && s["enum"] != nil:
		c.star("%s.enum: only allowed for STRING type", path)
	case kind == "ARRAY" && s["items"] == nil:
		c.star("%s.items: missing field.", path)
	case kind == "" && s["anyOf"] == nil:
		c.star("%s.type: must be specified", path)
	}
	for i, v := range list(s["enum"]) {
		if v == "" {
			c.star("%s.enum[%d]: cannot be empty", path, i)
		}
	}
	props, _ := s["properties"].(map[string]any)
	for i, v := range list(s["required"]) {
		if name, _ := v.(string); props[name] == nil {
			c.star("%s.required[%d]: property is not defined", path, i)
		}
	}
	for _, name := range sortedKeys(props) {
		c.schema(object(props[name]), path+".properties["+name+"]")
	}
	if items := object(s["items"]); items != nil {
		c.schema(items, path+".items")
	}
	for i, v := range list(s["anyOf"]) {
		c.schema(object(v), index(path+".any_of", i))
	}
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}
