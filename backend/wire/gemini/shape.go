package gemini

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// lenient reads a client's JSON: Google takes every field in camelCase and in snake_case, and both are sent.
var lenient = json.JoinOptions(wire.Lenient, json.MatchCaseInsensitiveNames(true))

// contentJSON is one turn.
type contentJSON struct {
	Role  string                    `json:"role"`
	Parts oneOrMany[partJSON]       `json:"parts"`
	Ext   map[string]jsontext.Value `json:",embed"`
}

// partJSON is one part: exactly one of its data fields is set.
type partJSON struct {
	Text             *string                   `json:"text"`
	Thought          bool                      `json:"thought"`
	ThoughtSignature string                    `json:"thoughtSignature"`
	InlineData       *blobJSON                 `json:"inlineData"`
	FileData         *fileJSON                 `json:"fileData"`
	FunctionCall     *callJSON                 `json:"functionCall"`
	FunctionResponse *resultJSON               `json:"functionResponse"`
	ExecutableCode   jsontext.Value            `json:"executableCode"`
	CodeResult       jsontext.Value            `json:"codeExecutionResult"`
	ToolCall         jsontext.Value            `json:"toolCall"`
	ToolResponse     jsontext.Value            `json:"toolResponse"`
	Ext              map[string]jsontext.Value `json:",embed"`
}

// server returns the data of a tool that the service runs itself, with its name.
func (p *partJSON) server() (name string, v jsontext.Value) {
	switch {
	case present(p.ExecutableCode):
		return "executableCode", p.ExecutableCode
	case present(p.CodeResult):
		return "codeExecutionResult", p.CodeResult
	case present(p.ToolCall):
		return "toolCall", p.ToolCall
	case present(p.ToolResponse):
		return "toolResponse", p.ToolResponse
	}
	return "", nil
}

type blobJSON struct {
	MIMEType    string                    `json:"mimeType"`
	Data        string                    `json:"data"`
	DisplayName string                    `json:"displayName"`
	Ext         map[string]jsontext.Value `json:",embed"`
}

type fileJSON struct {
	MIMEType    string                    `json:"mimeType"`
	FileURI     string                    `json:"fileUri"`
	DisplayName string                    `json:"displayName"`
	Ext         map[string]jsontext.Value `json:",embed"`
}

type callJSON struct {
	ID   string                    `json:"id"`
	Name string                    `json:"name"`
	Args jsontext.Value            `json:"args"`
	Ext  map[string]jsontext.Value `json:",embed"`
}

type resultJSON struct {
	ID       string                    `json:"id"`
	Name     string                    `json:"name"`
	Response jsontext.Value            `json:"response"`
	Parts    []partJSON                `json:"parts"`
	Ext      map[string]jsontext.Value `json:",embed"`
}

// oneOrMany reads an array, or its only element standing alone.
type oneOrMany[T any] []T

// UnmarshalJSONFrom reads from d. What does not start an array is read as one element, so that an error names its type.
func (l *oneOrMany[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	switch d.PeekKind() {
	case '[':
		return json.UnmarshalDecode(d, (*[]T)(l))
	case 'n':
		_, err := d.ReadToken()
		return err
	}
	*l = make([]T, 1)
	return json.UnmarshalDecode(d, &(*l)[0])
}

// systemJSON is a systemInstruction: a string, a Content, or parts alone.
type systemJSON struct{ parts []partJSON }

// UnmarshalJSONFrom reads from d.
func (s *systemJSON) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	switch d.PeekKind() {
	case '"':
		var text string
		if err := json.UnmarshalDecode(d, &text); err != nil {
			return err
		}
		s.parts = []partJSON{{Text: &text}}
		return nil
	case '[':
		return json.UnmarshalDecode(d, &s.parts)
	}
	var c struct {
		Parts oneOrMany[partJSON] `json:"parts"`
		Text  *string             `json:"text"`
	}
	if err := json.UnmarshalDecode(d, &c); err != nil {
		return err
	}
	s.parts = c.Parts
	if c.Text != nil { // one part without the Content around it
		s.parts = append(s.parts, partJSON{Text: c.Text})
	}
	return nil
}

// contentsJSON is the conversation: an array, one Content, or a string.
type contentsJSON []contentJSON

// UnmarshalJSONFrom reads from d.
func (c *contentsJSON) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() == '"' {
		var text string
		if err := json.UnmarshalDecode(d, &text); err != nil {
			return err
		}
		*c = []contentJSON{{Role: "user", Parts: []partJSON{{Text: &text}}}}
		return nil
	}
	return (*oneOrMany[contentJSON])(c).UnmarshalJSONFrom(d)
}

type generationJSON struct {
	Temperature        *float64                  `json:"temperature"`
	TopP               *float64                  `json:"topP"`
	TopK               *float64                  `json:"topK"` // the API's type is a float
	MaxOutputTokens    *int64                    `json:"maxOutputTokens"`
	StopSequences      []string                  `json:"stopSequences"`
	CandidateCount     *int64                    `json:"candidateCount"`
	Seed               *int64                    `json:"seed"`
	PresencePenalty    *float64                  `json:"presencePenalty"`
	FrequencyPenalty   *float64                  `json:"frequencyPenalty"`
	ResponseLogprobs   *bool                     `json:"responseLogprobs"`
	Logprobs           *int64                    `json:"logprobs"`
	ResponseMIMEType   string                    `json:"responseMimeType"`
	ResponseSchema     jsontext.Value            `json:"responseSchema"`
	ResponseJSONSchema jsontext.Value            `json:"responseJsonSchema"`
	ResponseModalities []string                  `json:"responseModalities"`
	ThinkingConfig     *thinkingJSON             `json:"thinkingConfig"`
	Ext                map[string]jsontext.Value `json:",embed"`
}

type thinkingJSON struct {
	IncludeThoughts *bool                     `json:"includeThoughts"`
	ThinkingBudget  *int64                    `json:"thinkingBudget"`
	ThinkingLevel   string                    `json:"thinkingLevel"`
	Ext             map[string]jsontext.Value `json:",embed"`
}

type toolConfigJSON struct {
	Calling *struct {
		Mode    string   `json:"mode"`
		Allowed []string `json:"allowedFunctionNames"`
	} `json:"functionCallingConfig"`
}

// toolJSON is one entry of tools: declarations, or a tool that the service runs itself, which stands in Ext.
type toolJSON struct {
	Declarations oneOrMany[jsontext.Value] `json:"functionDeclarations"`
	Ext          map[string]jsontext.Value `json:",embed"`
}

type declarationJSON struct {
	Name        string                    `json:"name"`
	Description string                    `json:"description"`
	Parameters  jsontext.Value            `json:"parameters"`
	JSONSchema  jsontext.Value            `json:"parametersJsonSchema"`
	Ext         map[string]jsontext.Value `json:",embed"`
}

// present reports whether a member is there and not null.
func present(v jsontext.Value) bool { return len(v) > 0 && v.Kind() != 'n' }

// readMember reads a member of a client's body, whichever spelling it has. The error names the field.
func readMember(o canon.Object, name string, dst any) error {
	v := member(o, name)
	if !present(v) {
		return nil
	}
	return readValue(v, name, dst)
}

// member returns a member in camelCase or snake_case.
func member(o canon.Object, name string) jsontext.Value {
	if v := o.Get(name); v != nil {
		return v
	}
	return o.Get(snake(name))
}

// memberName returns the spelling that a body has of a member, name if it has none.
func memberName(o canon.Object, name string) string {
	if s := snake(name); !o.Has(name) && o.Has(s) {
		return s
	}
	return name
}

// snake turns camelCase into snake_case.
func snake(name string) string {
	out := make([]byte, 0, len(name)+4)
	for i := range len(name) {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			out = append(out, '_')
			c += 'a' - 'A'
		}
		out = append(out, c)
	}
	return string(out)
}

// camel turns snake_case into camelCase.
func camel(name string) string {
	out := make([]byte, 0, len(name))
	up := false
	for i := range len(name) {
		c := name[i]
		if c == '_' && i > 0 {
			up = true
			continue
		}
		if up && c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		up = false
		out = append(out, c)
	}
	return string(out)
}

// readValue is wire.ReadValue for both spellings of names.
func readValue(v jsontext.Value, name string, dst any) error {
	return wire.ReadValue(v, name, &lenientTarget{dst})
}

// lenientTarget lets wire.ReadValue, which words the errors, read with this format's options.
type lenientTarget struct{ dst any }

// UnmarshalJSONFrom reads from d.
func (t *lenientTarget) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return json.UnmarshalDecode(d, t.dst, lenient)
}

func invalid(param, format string, args ...any) error {
	return apierror.Invalid(param, param+" "+format, args...)
}
