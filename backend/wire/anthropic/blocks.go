package anthropic

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// block is a content block of any known type. Members whose type differs between block types stay raw.
type block struct {
	Type         string                    `json:"type"`
	Text         string                    `json:"text"`
	Thinking     string                    `json:"thinking"`
	Signature    string                    `json:"signature"`
	Data         string                    `json:"data"`
	ID           string                    `json:"id"`
	Name         string                    `json:"name"`
	Input        jsontext.Value            `json:"input"`
	ToolUseID    string                    `json:"tool_use_id"`
	Content      jsontext.Value            `json:"content"`
	IsError      bool                      `json:"is_error"`
	Source       jsontext.Value            `json:"source"`
	Title        string                    `json:"title"`
	Context      string                    `json:"context"`
	CacheControl jsontext.Value            `json:"cache_control"`
	Citations    jsontext.Value            `json:"citations"`
	Ext          map[string]jsontext.Value `json:",embed"`
}

// source is where an image or document comes from.
type source struct {
	Type      string         `json:"type"`
	MediaType string         `json:"media_type"`
	Data      string         `json:"data"`
	URL       string         `json:"url"`
	FileID    string         `json:"file_id"`
	Content   jsontext.Value `json:"content"`
}

// reader turns blocks into parts. The zero value reads a client's request.
type reader struct {
	// answer says that an upstream's answer is read: its signatures are of family, whatever they look like.
	answer bool
	family string
	names  map[string]string // call id -> tool name, to name results
}

// opaque makes opaque data of a signature.
func (r *reader) opaque(s string) *canon.Opaque {
	if s == "" {
		return nil
	}
	if r.answer {
		return &canon.Opaque{Family: r.family, Kind: wire.OpaqueThink, Data: s}
	}
	return wire.ReadOpaque(s, wire.OpaqueThink)
}

// content reads the value of a content member: a string or an array of blocks. null and absent give nothing.
func (r *reader) content(v jsontext.Value, path string) ([]canon.Part, error) {
	switch v.Kind() {
	case 'n', jsontext.KindInvalid:
		return nil, nil
	case '"':
		var s string
		if err := wire.ReadValue(v, path, &s); err != nil {
			return nil, err
		}
		return []canon.Part{{Type: canon.PartText, Text: s}}, nil
	case '[':
	default:
		return nil, apierror.Invalid(path, "%s must be a string or an array of content blocks", path)
	}
	var parts []canon.Part
	err := elements(v, func(i int, e jsontext.Value) error {
		p, err := r.block(e, path+"["+strconv.Itoa(i)+"]")
		if err == nil {
			parts = append(parts, p)
		}
		return err
	})
	return parts, err
}

// elements calls f with each element of an array that is known to be valid JSON. f gets a view into v.
func elements(v jsontext.Value, f func(i int, e jsontext.Value) error) error {
	d := jsontext.NewDecoder(bytes.NewBuffer(v), wire.Lenient)
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for i := 0; d.PeekKind() != ']'; i++ {
		e, err := d.ReadValue()
		if err != nil {
			return err
		}
		end := d.InputOffset()
		if err := f(i, v[end-int64(len(e)):end:end]); err != nil {
			return err
		}
	}
	return nil
}

// block reads one content block. A type that is not known is kept whole, for an upstream of the same family.
func (r *reader) block(v jsontext.Value, path string) (canon.Part, error) {
	if v.Kind() != '{' {
		return canon.Part{}, apierror.Invalid(path, "%s must be an object", path)
	}
	var b block
	if err := wire.ReadValue(v, path, &b); err != nil {
		if knownBlock(blockType(v)) {
			return canon.Part{}, err
		}
		return serverPart(v), nil
	}
	p := canon.Part{Ext: b.Ext}
	cache, extra, err := readCache(b.CacheControl, path)
	if err != nil {
		return canon.Part{}, err
	}
	p.Cache = cache
	if extra {
		keep(&p, cacheMember, b.CacheControl)
	}
	err = r.fill(&p, &b, v, path)
	return p, err
}

// fill sets what depends on the block's type.
func (r *reader) fill(p *canon.Part, b *block, v jsontext.Value, path string) (err error) {
	switch b.Type {
	case typeText:
		p.Type, p.Text, p.Citations = canon.PartText, b.Text, notNull(b.Citations)
	case typeImage:
		p.Type = canon.PartImage
		p.Media, err = readSource(b.Source, path)
	case typeDocument:
		err = r.document(p, b, path)
	case typeSearchHit:
		err = r.searchHit(p, b, v, path)
	case typeThinking:
		p.Type, p.Text, p.Opaque = canon.PartReasoning, b.Thinking, r.opaque(b.Signature)
	case typeRedacted:
		p.Type, p.Redacted, p.Opaque = canon.PartReasoning, true, r.opaque(b.Data)
	case typeToolUse:
		err = r.toolUse(p, b, path)
	case typeResult:
		err = r.toolResult(p, b, path)
	case "":
		err = apierror.Invalid(path+".type", "%s.type is required", path)
	default:
		*p = serverPart(v)
	}
	return err
}

// keep puts a member aside that only a writer of this format understands.
func keep(p *canon.Part, name string, v jsontext.Value) {
	if p.Ext == nil {
		p.Ext = map[string]jsontext.Value{}
	}
	p.Ext[name] = v
}

// readCache reads a cache_control member. One with members that canon has no word for is kept whole beside it.
func readCache(v jsontext.Value, path string) (c *canon.Cache, extra bool, err error) {
	if len(v) == 0 || v.Kind() == 'n' {
		return nil, false, nil
	}
	var m struct {
		Type string                    `json:"type"`
		TTL  string                    `json:"ttl"`
		Ext  map[string]jsontext.Value `json:",embed"`
	}
	if err := wire.ReadValue(v, strings.TrimPrefix(path+"."+cacheMember, "."), &m); err != nil {
		return nil, false, err
	}
	return &canon.Cache{TTL: m.TTL}, len(m.Ext) > 0, nil
}

func notNull(v jsontext.Value) jsontext.Value {
	if len(v) == 0 || v.Kind() == 'n' {
		return nil
	}
	return v
}

// blockType returns the type member of a block, "" if it has none that is a string.
func blockType(v jsontext.Value) string {
	var b struct {
		Type string `json:"type"`
	}
	if json.Unmarshal(v, &b, wire.Lenient) != nil {
		return ""
	}
	return b.Type
}

func knownBlock(t string) bool {
	switch t {
	case typeText, typeImage, typeDocument, typeSearchHit, typeThinking, typeRedacted, typeToolUse, typeResult, "":
		return true
	default:
		return false
	}
}

// serverPart keeps a block of a tool that Anthropic runs itself, or of a type unknown here.
func serverPart(v jsontext.Value) canon.Part {
	return canon.Part{Type: canon.PartServer, Server: v.Clone(), Opaque: &canon.Opaque{Family: wire.FamilyClaude}}
}

func (r *reader) toolUse(p *canon.Part, b *block, path string) error {
	p.Type, p.CallID, p.Name = canon.PartToolCall, b.ID, b.Name
	switch {
	case b.Name == "" && !r.answer:
		return apierror.Invalid(path+".name", "%s.name is required", path)
	case b.ID == "" && !r.answer:
		return apierror.Invalid(path+".id", "%s.id is required", path)
	}
	switch b.Input.Kind() {
	case '{':
		p.Args = b.Input
	case 'n', jsontext.KindInvalid:
		p.Args = jsontext.Value("{}")
	default:
		if !r.answer {
			return apierror.Invalid(path+".input", "%s.input must be an object", path)
		}
		p.SetArgs(inputText(b.Input))
	}
	if r.names != nil {
		r.names[b.ID] = b.Name
	}
	return nil
}

// inputText returns the text of arguments that came as something else than an object: a string's own text, else the
// JSON.
func inputText(v jsontext.Value) string {
	var s string
	if json.Unmarshal(v, &s, wire.Lenient) == nil {
		return s
	}
	return string(v)
}

func (r *reader) toolResult(p *canon.Part, b *block, path string) (err error) {
	p.Type, p.CallID, p.IsError = canon.PartToolResult, b.ToolUseID, b.IsError
	if b.ToolUseID == "" {
		return apierror.Invalid(path+".tool_use_id", "%s.tool_use_id is required", path)
	}
	p.Name = r.names[b.ToolUseID]
	p.Result, err = r.content(b.Content, path+".content")
	return err
}

func (r *reader) document(p *canon.Part, b *block, path string) (err error) {
	p.Type = canon.PartDocument
	if p.Media, err = readSource(b.Source, path); err != nil {
		return err
	}
	p.Media.Title, p.Media.Context = b.Title, b.Context
	if c := notNull(b.Citations); c != nil {
		keep(p, "citations", c)
	}
	if p.Media.MIME == "" && p.Media.Text != "" { // a list of blocks: its text is what other formats get
		keep(p, "source", b.Source)
	}
	return nil
}

// searchHit reads a search_result, a document that the client found: others get its text, Anthropic the block itself.
func (r *reader) searchHit(p *canon.Part, b *block, v jsontext.Value, path string) error {
	inner, err := r.content(b.Content, path+".content")
	if err != nil {
		return err
	}
	p.Type, p.Ext = canon.PartDocument, map[string]jsontext.Value{blockMember: v.Clone()}
	p.Media = &canon.Media{MIME: "text/plain", Text: joinText(inner), Title: b.Title}
	return nil
}

func joinText(parts []canon.Part) string {
	var texts []string
	for i := range parts {
		if parts[i].Type == canon.PartText {
			texts = append(texts, parts[i].Text)
		}
	}
	return strings.Join(texts, "\n\n")
}

// readSource reads the source member of an image or a document.
func readSource(v jsontext.Value, path string) (*canon.Media, error) {
	path += ".source"
	if notNull(v) == nil {
		return nil, apierror.Invalid(path, "%s is required", path)
	}
	var s source
	if err := wire.ReadValue(v, path, &s); err != nil {
		return nil, err
	}
	switch s.Type {
	case "base64":
		data, err := wire.DecodeBase64(s.Data)
		if err != nil || len(data) == 0 {
			return nil, apierror.Invalid(path+".data", "%s.data is not valid base64", path)
		}
		if s.MediaType == "" {
			s.MediaType = wire.SniffImage(data)
		}
		return &canon.Media{MIME: s.MediaType, Data: data}, nil
	case "url":
		if mime, data, err := wire.ParseDataURL(s.URL); err == nil {
			return &canon.Media{MIME: mime, Data: data}, nil
		}
		if s.URL == "" {
			return nil, apierror.Invalid(path+".url", "%s.url is required", path)
		}
		return &canon.Media{URL: s.URL, MIME: s.MediaType}, nil
	case "file":
		return &canon.Media{FileID: s.FileID}, nil
	case "text":
		return &canon.Media{MIME: "text/plain", Text: s.Data}, nil
	case "content":
		var r reader
		inner, err := r.content(s.Content, path+".content")
		return &canon.Media{Text: joinText(inner)}, err
	default:
		return nil, apierror.Invalid(path+".type", "%s.type %q is not known", path, s.Type)
	}
}
