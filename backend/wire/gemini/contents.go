package gemini

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// expand reads the conversation out of the body.
func expand(req *canon.Request) error {
	o := req.Body
	var system systemJSON
	if err := readMember(o, "systemInstruction", &system); err != nil {
		return err
	}
	req.System = nil
	for i := range system.parts {
		if t := system.parts[i].Text; t != nil {
			req.System = append(req.System, canon.Part{Type: canon.PartText, Text: *t})
		}
	}
	var contents contentsJSON
	if err := readMember(o, "contents", &contents); err != nil {
		return err
	}
	r := contentReader{}
	req.Messages = nil
	for i := range contents {
		m, err := r.message(&contents[i], "contents["+strconv.Itoa(i)+"]")
		if err != nil {
			return err
		}
		if len(m.Parts) > 0 {
			req.Messages = append(req.Messages, m)
		}
	}
	if len(req.Messages) == 0 {
		return apierror.Invalid("contents", "contents: at least one message is required")
	}
	return readTools(req)
}

// contentReader reads turns in their order: a result without an id belongs to the first open call of its name.
type contentReader struct {
	turn  int
	model bool         // the last turn was the model's
	open  []canon.Part // calls of the last model turns that have no result yet
}

func (r *contentReader) message(c *contentJSON, path string) (canon.Message, error) {
	m := canon.Message{Role: canon.RoleUser}
	switch c.Role {
	case "", "user", "function", "tool":
	case "model", "assistant":
		m.Role = canon.RoleAssistant
		if !r.model {
			r.open = nil
		}
	case "system":
		m.Role = canon.RoleSystem
	default:
		return m, invalid(path+".role", "must be user or model")
	}
	r.turn++
	r.model = m.Role == canon.RoleAssistant
	for i := range c.Parts {
		p, err := r.part(&c.Parts[i], path+".parts["+strconv.Itoa(i)+"]", i)
		if err != nil {
			return m, err
		}
		if p.Type != 0 {
			m.Parts = append(m.Parts, p)
		}
	}
	if ext := camelKeys(c.Ext); len(ext) > 0 {
		m.Ext = ext
	}
	return m, nil
}

// part reads one part. The zero part stands for one without data.
func (r *contentReader) part(in *partJSON, path string, at int) (canon.Part, error) {
	var p canon.Part
	var err error
	switch {
	case in.FunctionCall != nil:
		p, err = r.call(in, path, at)
	case in.FunctionResponse != nil:
		p, err = r.result(in, path, at)
	case in.InlineData != nil:
		p, err = blob(in.InlineData, path+".inlineData")
	case in.FileData != nil:
		p, err = file(in.FileData, path+".fileData")
	case in.Text != nil && in.Thought:
		p = canon.Part{Type: canon.PartReasoning, Text: *in.Text, Opaque: readSignature(in.ThoughtSignature, wire.OpaqueThink)}
		p.Redacted = p.Opaque != nil && p.Opaque.Kind == kindRedacted
		if p.Redacted {
			p.Opaque.Kind = wire.OpaqueThink
		}
	case in.Text != nil:
		p = canon.Part{Type: canon.PartText, Text: *in.Text, Opaque: readSignature(in.ThoughtSignature, wire.OpaqueText)}
	default:
		p = serverPart(in)
	}
	if err != nil || p.Type == 0 {
		return p, err
	}
	for name, v := range camelKeys(in.Ext) {
		keep(&p.Ext, name, v)
	}
	return p, nil
}

// kindRedacted is the kind under which reasoning that only its maker can read is wrapped for clients of this format.
const kindRedacted = "redacted"

// readSignature reads a thoughtSignature: what was wrapped for this client belongs to another maker, everything else was
// made by Gemini and came here as it is.
func readSignature(s, kind string) *canon.Opaque {
	if s == "" || s == skipValidator || s == skipEngineering {
		return nil
	}
	if o, ok := wire.Unwrap(s); ok {
		return &o
	}
	if raw, err := wire.DecodeBase64(s); err == nil {
		if o, ok := wire.Unwrap(string(raw)); ok {
			return &o
		}
	}
	return &canon.Opaque{Family: wire.FamilyGemini, Kind: kind, Data: s}
}

// showSignature returns a thoughtSignature for a client. The field holds bytes, so what is no base64 is encoded.
func showSignature(o *canon.Opaque, redacted bool) string {
	if o == nil || o.Data == "" {
		return ""
	}
	if o.Family == wire.FamilyGemini || o.Family == "" {
		if _, err := wire.DecodeBase64(o.Data); err == nil {
			return o.Data
		}
	}
	own := *o
	if redacted {
		own.Kind = kindRedacted
	}
	return base64.StdEncoding.EncodeToString([]byte(wire.Wrap(own)))
}

// call reads a functionCall. A call without an id gets one that is made of its place and content, so that the same
// history always gives the same bytes.
func (r *contentReader) call(in *partJSON, path string, at int) (canon.Part, error) {
	c := in.FunctionCall
	p := canon.Part{Type: canon.PartToolCall, Name: c.Name, CallID: c.ID, Opaque: readSignature(in.ThoughtSignature, wire.OpaqueCall)}
	if c.Name == "" {
		return p, invalid(path+".functionCall.name", "must not be empty")
	}
	switch {
	case !present(c.Args):
		p.Args = jsontext.Value("{}")
	case c.Args.Kind() != '{':
		return p, invalid(path+".functionCall.args", "must be an object")
	default:
		p.Args = c.Args
	}
	if p.CallID == "" {
		p.CallID = madeID(r.turn, at, c.Name, string(p.Args))
		keep(&p.Ext, noIDMember, yes)
	}
	for name, v := range camelKeys(c.Ext) {
		keep(&p.Ext, "$call."+name, v)
	}
	r.open = append(r.open, p)
	return p, nil
}

func madeID(turn, at int, name, content string) string {
	sum := sha256.Sum256([]byte(strconv.Itoa(turn) + ":" + strconv.Itoa(at) + ":" + name + ":" + content))
	return "fc_" + hex.EncodeToString(sum[:8])
}

// result reads a functionResponse and finds the call it answers.
func (r *contentReader) result(in *partJSON, path string, at int) (canon.Part, error) {
	f := in.FunctionResponse
	p := canon.Part{Type: canon.PartToolResult, Name: f.Name, CallID: f.ID}
	if present(f.Response) && f.Response.Kind() != '{' {
		return p, invalid(path+".functionResponse.response", "must be an object")
	}
	r.answer(&p, at)
	if present(f.Response) {
		keep(&p.Ext, responseMember, f.Response)
	}
	text, isError := responseText(f.Response, f.Name)
	p.IsError = isError
	p.Result = []canon.Part{{Type: canon.PartText, Text: text}}
	for i := range f.Parts {
		one, err := r.part(&f.Parts[i], path+".functionResponse.parts["+strconv.Itoa(i)+"]", i)
		if err != nil {
			return p, err
		}
		if one.Media != nil {
			p.Result = append(p.Result, one)
		}
	}
	for name, v := range camelKeys(f.Ext) {
		keep(&p.Ext, "$call."+name, v)
	}
	return p, nil
}

// answer takes the call that p answers off the open ones, by its id, else by name and order.
func (r *contentReader) answer(p *canon.Part, at int) {
	for i, c := range r.open {
		if p.CallID != "" && c.CallID == p.CallID || p.CallID == "" && c.Name == p.Name {
			if p.CallID == "" {
				p.CallID = c.CallID
				keep(&p.Ext, noIDMember, yes)
			}
			r.open = append(r.open[:i:i], r.open[i+1:]...)
			return
		}
	}
	if p.CallID == "" {
		p.CallID = madeID(r.turn, at, p.Name, "result")
		keep(&p.Ext, noIDMember, yes)
	}
}

// responseText returns the text that a function's response stands for: the usual wrappers {"output": text},
// {"result": text} and {"error": text} are taken off (opencode 1.18.33 sends {"name","content"}), any other object stays
// JSON.
func responseText(v jsontext.Value, name string) (text string, isError bool) {
	if !present(v) {
		return "", false
	}
	o, err := canon.ParseObject(v)
	if err != nil {
		return string(v), false
	}
	if len(o.Members) == 1 {
		switch key := o.Members[0].Name; key {
		case "output", "result", "content", "error":
			return plainText(o.Get(key)), key == "error"
		}
	}
	if len(o.Members) == 2 && o.Has("content") && plainText(o.Get("name")) == name {
		return plainText(o.Get("content")), false
	}
	return string(v), false
}

// plainText returns a JSON string's text, and anything else as JSON.
func plainText(v jsontext.Value) string {
	if v.Kind() != '"' {
		return string(v)
	}
	b, _ := jsontext.AppendUnquote(nil, v) // invalid UTF-8 is replaced
	return string(b)
}

func blob(in *blobJSON, path string) (canon.Part, error) {
	data, err := wire.DecodeBase64(in.Data)
	if err != nil {
		return canon.Part{}, invalid(path+".data", "is not valid base64")
	}
	m := &canon.Media{MIME: strings.ToLower(in.MIMEType), Data: data, FileName: in.DisplayName}
	if m.MIME == "" {
		m.MIME = wire.SniffImage(data)
	}
	if m.MIME == "" {
		return canon.Part{}, invalid(path+".mimeType", "must not be empty")
	}
	return canon.Part{Type: mediaType(m.MIME), Media: m, Ext: inner(in.Ext, in.DisplayName)}, nil
}

// inner keeps members of the inner object apart from those of the part. A file's name is one of them: the Gemini API
// itself refuses it, so it only goes back to whoever sent it.
func inner(ext map[string]jsontext.Value, displayName string) map[string]jsontext.Value {
	var out map[string]jsontext.Value
	if displayName != "" {
		keep(&out, "$call.displayName", wire.AppendString(nil, displayName))
	}
	for name, v := range camelKeys(ext) {
		keep(&out, "$call."+name, v)
	}
	return out
}

func mediaType(mime string) canon.PartType {
	kind, _, _ := strings.Cut(mime, "/")
	switch kind {
	case "image":
		return canon.PartImage
	case "audio":
		return canon.PartAudio
	case "video":
		return canon.PartVideo
	default:
		return canon.PartDocument
	}
}

// file reads fileData. A file that only Google has is a FileID; any other address is a URL.
func file(in *fileJSON, path string) (canon.Part, error) {
	if in.FileURI == "" {
		return canon.Part{}, invalid(path+".fileUri", "must not be empty")
	}
	m := &canon.Media{MIME: strings.ToLower(in.MIMEType), FileName: in.DisplayName}
	p := canon.Part{Type: mediaType(m.MIME), Media: m, Ext: inner(in.Ext, in.DisplayName)}
	switch {
	case ownFile(in.FileURI):
		m.FileID = in.FileURI
	default:
		m.URL = in.FileURI
		if isYouTube(m.URL) {
			p.Type = canon.PartVideo
		}
	}
	return p, nil
}

// ownFile reports whether an address is a file at Google: of the File API or of Cloud Storage.
func ownFile(uri string) bool {
	if strings.HasPrefix(uri, "gs://") || strings.HasPrefix(uri, "files/") {
		return true
	}
	u, err := url.Parse(uri)
	return err == nil && u.Host == "generativelanguage.googleapis.com"
}

func isYouTube(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil {
		return false
	}
	host := strings.TrimPrefix(strings.ToLower(u.Hostname()), "www.")
	return host == "youtube.com" || host == "youtu.be" || host == "m.youtube.com"
}

// serverPart keeps the call or result of a tool that the service runs itself, to be sent back as it is.
func serverPart(in *partJSON) canon.Part {
	name, v := in.server()
	if name == "" {
		return canon.Part{}
	}
	w := writer{}
	w.open('{')
	w.raw(name, v)
	w.close('}')
	o := readSignature(in.ThoughtSignature, wire.OpaqueCall)
	if o == nil {
		o = &canon.Opaque{Family: wire.FamilyGemini}
	}
	return canon.Part{Type: canon.PartServer, Server: w.b, Opaque: o}
}
