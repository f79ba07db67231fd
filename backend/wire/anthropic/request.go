package anthropic

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// knownMembers are the members of a request that canon has words for; all others are kept in Ext.
var knownMembers = []string{
	"model", "max_tokens", "messages", "system", "stream", "temperature", "top_p", "top_k", "stop_sequences", "tools", "tool_choice",
	"thinking", "output_config", "output_format", "metadata", cacheMember, "service_tier",
}

// keptHeaders are the client's headers that an upstream of the same format may see.
var keptHeaders = []string{"Anthropic-Version", "Anthropic-Beta", "Idempotency-Key"}

// Decode reads a request for an answer or for a count of its tokens.
func (Codec) Decode(op wire.Op, r *http.Request, body []byte) (*canon.Request, error) {
	o, err := wire.ReadBody(body)
	if err != nil {
		return nil, err
	}
	req := &canon.Request{Format: Name, Op: string(op), Body: o}
	if err := readScalars(req, o); err != nil {
		return nil, err
	}
	if err := readSteering(req, o); err != nil {
		return nil, err
	}
	for _, m := range o.Members {
		if !slices.Contains(knownMembers, m.Name) {
			setExt(req, m.Name, o.Get(m.Name))
		}
	}
	readHeaders(req, r)
	req.Seed = seed(o)
	req.Defer(func(req *canon.Request) error { return expand(req, req.Body) })
	if len(body) <= wire.EagerLimit {
		if err := req.Expand(); err != nil {
			return nil, err
		}
	}
	return req, nil
}

func setExt(req *canon.Request, name string, v jsontext.Value) {
	if req.Ext == nil {
		req.Ext = map[string]jsontext.Value{}
	}
	req.Ext[name] = v
}

func readScalars(req *canon.Request, o canon.Object) error {
	for name, dst := range map[string]any{
		"stream": &req.Stream, "temperature": &req.Sampling.Temperature, "top_p": &req.Sampling.TopP, "top_k": &req.Sampling.TopK,
		"max_tokens": &req.MaxTokens, "stop_sequences": &req.Stop, "service_tier": &req.ServiceTier, "model": &req.ModelAsked,
	} {
		if err := wire.ReadMember(o, name, dst); err != nil {
			return err
		}
	}
	req.Model = strings.TrimPrefix(req.ModelAsked, discovered)
	if req.ModelAsked == "" {
		return apierror.Invalid("model", "model is required")
	}
	if req.MaxTokens != nil && *req.MaxTokens < 0 {
		return apierror.Invalid("max_tokens", "max_tokens cannot be negative")
	}
	cache, extra, err := readCache(o.Get(cacheMember), "")
	if err != nil {
		return err
	}
	if req.Cache = cache; extra {
		setExt(req, cacheMember, o.Get(cacheMember))
	}
	return readContainer(req, o.Get("container"))
}

// readContainer reads the container of a code execution tool, a name or an object with an id: state of one upstream.
func readContainer(req *canon.Request, v jsontext.Value) error {
	switch v.Kind() {
	case '"':
		return wire.ReadValue(v, "container", &req.State.Container)
	case '{':
		var c struct {
			ID string `json:"id"`
		}
		err := wire.ReadValue(v, "container", &c)
		req.State.Container = c.ID
		return err
	default:
		return nil
	}
}

// readSteering reads thinking, the form of the output, and what tells users and conversations apart.
func readSteering(req *canon.Request, o canon.Object) error {
	if err := readThinking(req, o.Get("thinking")); err != nil {
		return err
	}
	if err := readOutput(req, o); err != nil {
		return err
	}
	if err := readExtraThinking(req, o); err != nil {
		return err
	}
	return readMetadata(req, o.Get("metadata"))
}

// readExtraThinking reads extra_body.anthropic.thinking, which wins over the body's own: tools that were made for OpenAI's SDK
// send a literal extra_body.
func readExtraThinking(req *canon.Request, o canon.Object) error {
	for _, name := range []string{"extra_body", "anthropic"} {
		inner, err := canon.ParseObject(o.Get(name))
		if err != nil { // something else of that name
			return nil
		}
		o = inner
	}
	v := o.Get("thinking")
	if notNull(v) == nil {
		return nil
	}
	req.Reasoning = canon.Reasoning{}
	if err := readThinking(req, v); err != nil {
		e := *apierror.From(err)
		e.Param, e.Msg = "extra_body.anthropic."+e.Param, "extra_body.anthropic."+e.Msg
		return &e
	}
	return nil
}

// readThinking reads the thinking member. Forms that canon has no words for are kept beside what it has.
func readThinking(req *canon.Request, v jsontext.Value) error {
	if notNull(v) == nil {
		return nil
	}
	var t struct {
		Type    string                    `json:"type"`
		Budget  *int64                    `json:"budget_tokens"`
		Display *string                   `json:"display"`
		Effort  string                    `json:"effort"` // AIClient-2-API's form
		Ext     map[string]jsontext.Value `json:",embed"`
	}
	if err := wire.ReadValue(v, "thinking", &t); err != nil {
		return err
	}
	rs := &req.Reasoning
	switch t.Type {
	case "enabled":
		rs.Mode, rs.Budget, rs.Source = canon.ReasonOn, t.Budget, "budget"
	case "adaptive":
		rs.Mode, rs.Effort, rs.Source = canon.ReasonAuto, t.Effort, "effort"
	case "disabled":
		rs.Mode, rs.Source = canon.ReasonOff, "bool"
	case "between_tools":
		rs.Mode, rs.Source = canon.ReasonAuto, "bool"
		setExt(req, "thinking", v)
	default:
		return apierror.Invalid("thinking.type", "thinking.type must be enabled, adaptive, disabled or between_tools")
	}
	if len(t.Ext) > 0 {
		setExt(req, "thinking", v)
	}
	if t.Display != nil {
		switch *t.Display {
		case "omitted":
			rs.Summary = "none"
		case "summarized":
			rs.Summary = "auto"
		}
	}
	return nil
}

// readOutput reads output_config, and the older output_format in its place.
func readOutput(req *canon.Request, o canon.Object) error {
	type format struct {
		Type   string         `json:"type"`
		Schema jsontext.Value `json:"schema"`
	}
	var c struct {
		Effort string                    `json:"effort"`
		Format *format                   `json:"format"`
		Ext    map[string]jsontext.Value `json:",embed"`
	}
	if err := wire.ReadMember(o, "output_config", &c); err != nil {
		return err
	}
	path := "output_config.format"
	if c.Format == nil {
		path = "output_format"
		if err := wire.ReadMember(o, path, &c.Format); err != nil {
			return err
		}
	}
	if c.Effort != "" && req.Reasoning.Effort == "" {
		req.Reasoning.Effort = c.Effort
		if req.Reasoning.Source == "" {
			req.Reasoning.Source = "effort"
		}
	}
	if f := c.Format; f != nil && f.Type == "json_schema" {
		if f.Schema.Kind() != '{' {
			return apierror.Invalid(path+".schema", "%s.schema must be an object", path)
		}
		req.Output = canon.Output{Kind: canon.OutputSchema, Schema: f.Schema}
	}
	if len(c.Ext) > 0 {
		w := writer{b: []byte("{")}
		w.ext(c.Ext)
		w.close('}')
		setExt(req, "output_config", w.b)
	}
	return nil
}

// readMetadata reads the user's id. claude-code 2.1.197 puts a JSON object with its session's id into it.
func readMetadata(req *canon.Request, v jsontext.Value) error {
	if notNull(v) == nil {
		return nil
	}
	var m struct {
		UserID *string `json:"user_id"`
	}
	if err := wire.ReadValue(v, "metadata", &m); err != nil {
		return err
	}
	req.Metadata = v
	if m.UserID == nil {
		return nil
	}
	req.UserID = *m.UserID
	var inner struct {
		SessionID string `json:"session_id"`
	}
	if strings.HasPrefix(req.UserID, "{") && json.Unmarshal([]byte(req.UserID), &inner, wire.Lenient) == nil {
		req.Conversation = inner.SessionID
	} else if _, session, ok := strings.Cut(req.UserID, "_session_"); ok {
		req.Conversation = session
	}
	return nil
}

// readHeaders keeps what a same-format upstream may see, and finds the conversation's key: a session header of Claude
// Code goes before the one in metadata, others come after it.
func readHeaders(req *canon.Request, r *http.Request) {
	if r == nil {
		return
	}
	for _, name := range keptHeaders {
		if v := r.Header.Values(name); len(v) > 0 {
			if req.Headers == nil {
				req.Headers = map[string][]string{}
			}
			req.Headers[name] = slices.Clone(v)
		}
	}
	if id := r.Header.Get("X-Claude-Code-Session-Id"); id != "" {
		req.Conversation = id
	}
	for _, name := range []string{"Session-Id", "X-Session-Id"} {
		if req.Conversation == "" {
			req.Conversation = r.Header.Get(name)
		}
	}
}

// expand reads the conversation and the tools.
func expand(req *canon.Request, o canon.Object) error {
	r := reader{names: map[string]string{}}
	system, err := r.content(o.Get("system"), "system")
	if err != nil {
		return err
	}
	for i := range system {
		if system[i].Type != canon.PartText {
			return apierror.Invalid("system["+strconv.Itoa(i)+"]", "system can hold text blocks only")
		}
	}
	if err := readTools(req, o); err != nil {
		return err
	}
	messages, err := r.messages(o.Get("messages"))
	if err != nil {
		return err
	}
	for len(messages) > 0 && messages[0].Role == canon.RoleSystem {
		system = append(system, messages[0].Parts...)
		messages = messages[1:]
	}
	if len(messages) == 0 {
		return apierror.Invalid("messages", "messages: at least one message is required")
	}
	req.System, req.Messages = system, messages
	return nil
}

func (r *reader) messages(v jsontext.Value) ([]canon.Message, error) {
	if notNull(v) == nil {
		return nil, nil
	}
	if v.Kind() != '[' {
		return nil, apierror.Invalid("messages", "messages must be an array")
	}
	var out []canon.Message
	err := elements(v, func(i int, e jsontext.Value) error {
		m, err := r.message(e, "messages["+strconv.Itoa(i)+"]")
		if err == nil {
			out = append(out, m)
		}
		return err
	})
	return out, err
}

func (r *reader) message(v jsontext.Value, path string) (canon.Message, error) {
	var m struct {
		Role    string                    `json:"role"`
		Content jsontext.Value            `json:"content"`
		Ext     map[string]jsontext.Value `json:",embed"`
	}
	if err := wire.ReadValue(v, path, &m); err != nil {
		return canon.Message{}, err
	}
	switch canon.Role(m.Role) {
	case canon.RoleUser, canon.RoleAssistant, canon.RoleSystem:
	default:
		return canon.Message{}, apierror.Invalid(path+".role", "%s.role must be user, assistant or system", path)
	}
	parts, err := r.content(m.Content, path+".content")
	if err != nil {
		return canon.Message{}, err
	}
	if m.Role == string(canon.RoleAssistant) {
		parts = wire.PlaceSignatures(parts)
	}
	return canon.Message{Role: canon.Role(m.Role), Parts: parts, Ext: m.Ext}, nil
}
