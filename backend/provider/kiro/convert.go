package kiro

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// options say what the driver knows of the account and of the way a request goes.
type options struct {
	account string // its id: conversations of two accounts have ids of their own
	arn     string // profile ARN to send, "" = none
	origin  string
	formB   bool // the body of the IDE of 2026-07 and later
	fields  fields
	media   map[string]canon.Media // what was fetched, by address
	strip   bool                   // leave all reasoning of the history out, after a refused signature
	leaks   bool                   // calls that the model prints as text are taken for calls
}

// exchange is one call: the body to send, and how to read what comes back.
type exchange struct {
	body    []byte
	shape   string // of the conversation, without a word of it, for the log
	dropped []canon.Warning

	req      *canon.Request
	o        options
	model    name
	names    *wire.Names
	tools    map[string]tool // by the name that the service knows
	tags     bool            // thinking was asked for by tags
	standIn  bool            // the form of the answer was asked for in words
	leaks    bool
	window   int64
	declared bool // the request has tools of the client's
}

// tool is a tool as the client knows it.
type tool struct {
	name, space string
	custom      bool
}

// newExchange writes req for the service. It changes nothing of req.
func newExchange(req *canon.Request, o options) (*exchange, error) {
	x := &exchange{req: req, o: o, model: modelID(req.Model), names: wire.NewNames(req, nil), tools: map[string]tool{}}
	x.window = req.Facts.Context
	if x.window == 0 {
		f, _ := factOf(x.model.id)
		x.window = f.window
	}
	c := &conversion{x: x, req: req}
	if err := c.refuse(); err != nil {
		return nil, err
	}
	if err := c.readTools(); err != nil {
		return nil, err
	}
	if err := c.collect(); err != nil {
		return nil, err
	}
	if len(c.turns) == 0 {
		e := apierror.Invalid(wire.Field(req.Format, "messages"), "at least one message is required")
		return nil, e
	}
	c.thinking()
	c.arrange()
	if err := c.check(); err != nil {
		return nil, err
	}
	if err := c.write(); err != nil {
		return nil, err
	}
	x.shape = c.shape()
	return x, nil
}

func (x *exchange) drop(field, why string) {
	w := canon.Warning{Field: field, Detail: why}
	if !slices.Contains(x.dropped, w) {
		x.dropped = append(x.dropped, w)
	}
}

// conversion is a request on its way to the service's form.
type conversion struct {
	x     *exchange
	req   *canon.Request
	turns []turn
	specs []toolSpec
	rest  []string // what of long descriptions goes into the system prompt
	notes []string // lines of the system prompt that stand for fields the service has not
	lead  string   // thinking tags
	extra jsontext.Value
	flat  bool // calls and results become text
}

// turn is one message of the conversation. The last one is a user's.
type turn struct {
	user    bool
	texts   []string
	uses    []use
	results []result
	images  []*canon.Media
	thought string // in tags
	native  *reasoningContent
}

// use is a call of the model; id is the client's until repair.
type use struct {
	id, name string
	args     jsontext.Value
	answered bool
}

// result is what a tool gave; id is the client's until repair.
type result struct {
	id, text string
	failed   bool
}

func (t *turn) text() string {
	return strings.Join(slices.DeleteFunc(slices.Clone(t.texts), func(s string) bool { return s == "" }), "\n")
}

func (t *turn) blank() bool { return strings.TrimSpace(t.text()) == "" }

func (t *turn) empty() bool {
	return t.blank() && len(t.uses)+len(t.results)+len(t.images) == 0 && t.thought == "" && t.native == nil
}

func unsupported(param, format string, args ...any) *apierror.Error {
	e := apierror.New(apierror.Unsupported, format, args...)
	e.Param = param
	return e
}

// refuse tells what cannot be carried over at all, and notes what is left out.
func (c *conversion) refuse() error {
	r := c.req
	if n := r.Sampling.N; n != nil && *n > 1 {
		return unsupported(wire.Field(r.Format, "n"), "Kiro gives one answer at a time; ask for n of 1")
	}
	if slices.Contains(r.Modalities, "audio") || slices.Contains(r.Modalities, "image") {
		return unsupported(wire.Field(r.Format, "modalities"), "Kiro answers with text only")
	}
	s := &r.Sampling
	for _, d := range []struct {
		field string
		lost  bool
	}{
		{"temperature", s.Temperature != nil}, {"top_p", s.TopP != nil}, {"top_k", s.TopK != nil}, {"min_p", s.MinP != nil},
		{"presence_penalty", s.Presence != nil}, {"frequency_penalty", s.Frequency != nil}, {"repeat_penalty", s.Repeat != nil},
		{"seed", s.Seed != nil}, {"logprobs", s.Logprobs != nil && *s.Logprobs || s.TopLogprobs != nil}, {"logit_bias", len(s.LogitBias) > 0},
		{"parallel_tool_calls", r.Parallel != nil && !*r.Parallel}, {"verbosity", r.Verbosity != ""}, {"service_tier", r.ServiceTier != ""},
		{"cache_control", hasCache(r)},
		{"max_tokens", r.MaxTokens != nil && (c.x.o.fields.maxTokens == 0 || !c.x.o.formB)},
	} {
		if d.lost {
			c.x.drop(d.field, "Kiro has no such field")
		}
	}
	return nil
}

func hasCache(r *canon.Request) bool {
	marked := func(parts []canon.Part) bool {
		return slices.ContainsFunc(parts, func(p canon.Part) bool { return p.Cache != nil })
	}
	return r.Cache != nil || marked(r.System) ||
		slices.ContainsFunc(r.Messages, func(m canon.Message) bool { return marked(m.Parts) }) ||
		slices.ContainsFunc(r.Tools, func(t canon.Tool) bool { return t.Cache != nil })
}

// billingHead begins a line that Claude Code changes with every call; other caches must not see it.
const billingHead = "x-anthropic-billing-header:"

// system is the text that goes in front of the first message: the service has no field for it.
func (c *conversion) system() string {
	var texts []string
	for i := range c.req.System {
		if t := c.req.System[i].Text; t != "" && !strings.HasPrefix(t, billingHead) {
			texts = append(texts, t)
		}
	}
	texts = append(texts, c.rest...)
	texts = append(texts, c.notes...)
	text := strings.Join(texts, "\n\n")
	switch {
	case c.lead == "":
		return text
	case text == "":
		return c.lead
	default:
		return c.lead + "\n" + text
	}
}

// collect reads the messages into turns.
func (c *conversion) collect() error {
	for i := range c.req.Messages {
		m := &c.req.Messages[i]
		t := turn{user: m.Role != canon.RoleAssistant}
		var err error
		switch m.Role {
		case canon.RoleAssistant:
			c.assistant(&t, m)
		case canon.RoleSystem:
			if text := joined(m.Parts); text != "" {
				t.texts = []string{"<system-reminder>\n" + text + "\n</system-reminder>"}
			}
		default:
			err = c.user(&t, m)
		}
		if err != nil {
			return err
		}
		if !t.empty() {
			c.turns = append(c.turns, t)
		}
	}
	return nil
}

func joined(parts []canon.Part) string {
	var texts []string
	for i := range parts {
		if p := &parts[i]; (p.Type == canon.PartText || p.Type == canon.PartRefusal) && p.Text != "" {
			texts = append(texts, p.Text)
		}
	}
	return strings.Join(texts, "\n")
}

func (c *conversion) assistant(t *turn, m *canon.Message) {
	for i := range m.Parts {
		p := &m.Parts[i]
		switch p.Type {
		case canon.PartText, canon.PartRefusal:
			t.texts = append(t.texts, p.Text)
		case canon.PartToolCall:
			u := use{id: p.CallID, name: c.x.names.Out(wire.FlatName(p.Space, p.Name)), args: p.ArgsObject()}
			if p.Custom {
				u.args = append(wire.AppendString(jsontext.Value(`{"input":`), p.Text), '}')
			}
			t.uses = append(t.uses, u)
		case canon.PartReasoning:
			c.reasoned(t, p)
		case canon.PartServer:
			c.x.drop("messages.server_tools", "only the service that ran them can read them")
		default:
			c.x.drop("messages."+p.Type.String(), "an answer in the history cannot hold it")
		}
	}
}

// reasoned takes a thought of an earlier turn over: signed by this model's maker as it is, unsigned in tags, of others not.
func (c *conversion) reasoned(t *turn, p *canon.Part) {
	family := familyOf(c.x.model.id)
	text := p.Text
	if text == "" {
		text = strings.Join(p.Summary, "\n")
	}
	signed := p.Opaque != nil && p.Opaque.Data != ""
	switch {
	case c.x.o.strip, signed && p.Opaque.Family != family:
	case signed && c.native():
		switch {
		case t.native != nil: // there is room for one
		case p.Redacted || text == "":
			t.native = &reasoningContent{Redacted: p.Opaque.Data}
		default:
			t.native = &reasoningContent{Text: &reasoningText{Text: text, Signature: p.Opaque.Data}}
		}
	case text != "" && !p.Redacted:
		t.thought += strings.ReplaceAll(text, tagClose, "</\u200bthinking>")
	}
}

func (c *conversion) user(t *turn, m *canon.Message) error {
	for i := range m.Parts {
		p := &m.Parts[i]
		switch p.Type {
		case canon.PartToolResult:
			r := result{id: p.CallID, failed: p.IsError}
			var texts []string
			before := len(t.images)
			for j := range p.Result {
				text, err := c.content(t, &p.Result[j])
				if err != nil {
					return err
				}
				if text != "" {
					texts = append(texts, text)
				}
			}
			switch r.text = cutMiddle(strings.Join(texts, "\n"), maxResult); {
			case r.text == "" && len(t.images) > before:
				r.text = "(image attached)"
			case r.text == "":
				r.text = "(empty result)"
			}
			t.results = append(t.results, r)
		case canon.PartReasoning, canon.PartServer:
		default:
			text, err := c.content(t, p)
			if err != nil {
				return err
			}
			t.texts = append(t.texts, text)
		}
	}
	return nil
}

// content returns the text of a part and puts its picture into the turn: also the pictures of a tool's result stand there.
func (c *conversion) content(t *turn, p *canon.Part) (string, error) {
	at := wire.Field(c.req.Format, "messages")
	switch p.Type {
	case canon.PartText, canon.PartRefusal:
		return p.Text, nil
	case canon.PartDocument:
		if p.Media == nil || p.Media.Text == "" {
			return "", unsupported(at, "document input is not supported by %s", c.req.ModelAsked)
		}
		title := p.Media.Title
		if title == "" {
			title = p.Media.FileName
		}
		if title == "" {
			title = "Document"
		}
		return title + "\n\n" + p.Media.Text, nil
	case canon.PartImage:
		m := p.Media
		if got, ok := c.x.o.media[m.URL]; ok && m.URL != "" {
			m = &got
		}
		if len(m.Data) == 0 {
			return "", unsupported(at, "%s takes pictures only as data; send the picture itself", c.req.ModelAsked)
		}
		if c.req.Facts.Images == canon.No {
			c.x.drop("messages.image", "the model reads text only")
			return fmt.Sprintf("[image omitted: %s, %d bytes]", m.MIME, len(m.Data)), nil
		}
		t.images = append(t.images, m)
		return "", nil
	default:
		return "", unsupported(at, "%s input is not supported by %s", p.Type, c.req.ModelAsked)
	}
}

// cutMiddle keeps head and tail of a text that is too long.
func cutMiddle(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	const note = "\n[... cut out by Patchbay: the service takes no longer result ...]\n"
	half := (limit - len(note)) / 2
	return strings.ToValidUTF8(s[:half], "") + note + strings.ToValidUTF8(s[len(s)-half:], "")
}

// conversationID names the conversation for the service's caches: the same for all its requests, and different for each account.
func (c *conversion) conversationID() string {
	h := sha256.New()
	put := func(s string) { fmt.Fprintf(h, "%d:%s", len(s), s) }
	put(c.x.o.account)
	switch {
	case c.req.Conversation != "":
		put(c.req.Conversation)
	default:
		for i := range c.turns[:min(2, len(c.turns))] {
			put(c.turns[i].text())
		}
	}
	return uuidOf(h.Sum(nil))
}

// uuidOf writes the head of a hash as a UUID of version 4's form.
func uuidOf(sum []byte) string {
	b := slices.Clone(sum[:16])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	s := hex.EncodeToString(b)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
