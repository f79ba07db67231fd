package anthropic

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// fallbackMaxTokens is the limit of an answer when nothing else names one: the API demands a number.
const fallbackMaxTokens = 32000

// conversion is one request being written anew.
type conversion struct {
	x     *Exchange
	req   *canon.Request
	o     Options
	facts canon.Model
	own   bool // the client speaks this format: what it kept in Ext goes back
	names *wire.Names

	system   []canon.Part
	turns    []turn
	tools    []canon.Tool
	choice   canon.ToolChoice
	thinking thinking
	maxTok   int64
	marks    *marks
}

// convert writes the request anew.
func (x *Exchange) convert() error {
	if err := x.req.Expand(); err != nil {
		return err
	}
	c := conversion{x: x, req: x.req, o: x.o, facts: facts(x.req), own: same(x.req)}
	if err := c.check(); err != nil {
		return err
	}
	c.names = wire.NewNames(x.req, c.shortName())
	if err := c.pickTools(); err != nil {
		return err
	}
	c.system = withoutEmpty(c.req.System)
	if err := c.buildTurns(); err != nil {
		return err
	}
	c.limits()
	c.decideThinking()
	c.structured()
	c.prefill()
	c.marks = c.placeMarks()
	x.Body = c.body()
	return nil
}

func (c *conversion) drop(field, detail string) {
	c.x.Dropped = append(c.x.Dropped, canon.Warning{Field: field, Detail: detail})
}

// shortName returns how names are made to fit: clients of this format may use the API's own 128 characters.
func (c *conversion) shortName() func(string) string {
	if !c.own {
		return nil
	}
	return func(s string) string {
		if len(s) <= 128 && wire.CleanID(s) == s {
			return s
		}
		return wire.ShortName(s)
	}
}

// check refuses what Anthropic cannot do and notes what it has no field for.
func (c *conversion) check() error {
	r := c.req
	if r.Sampling.N != nil && *r.Sampling.N > 1 {
		return unsupported(wire.Field(r.Format, "n"), "%s gives one answer per call; n must be 1", r.Model)
	}
	if slices.Contains(r.Modalities, "audio") {
		return unsupported(wire.Field(r.Format, "modalities"), "audio output is not supported by %s", r.Model)
	}
	if err := c.checkState(); err != nil {
		return err
	}
	if r.MaxTokens != nil && (*r.MaxTokens < 0 || *r.MaxTokens == 0 && !c.own) {
		return apierror.Invalid("max_tokens", "max_tokens must be at least 1")
	}
	s := &r.Sampling
	for name, set := range map[string]bool{
		"min_p": s.MinP != nil, "presence_penalty": s.Presence != nil, "frequency_penalty": s.Frequency != nil, "repeat_penalty": s.Repeat != nil,
		"seed": s.Seed != nil, "logprobs": s.Logprobs != nil && *s.Logprobs, "logit_bias": notNull(s.LogitBias) != nil, "verbosity": r.Verbosity != "",
		"service_tier": r.ServiceTier != "" && !c.own,
	} {
		if set {
			c.drop(name, "Anthropic has no such field")
		}
	}
	slices.SortFunc(c.x.Dropped, func(a, b canon.Warning) int { return strings.Compare(a.Field, b.Field) })
	return nil
}

func (c *conversion) checkState() error {
	s := c.req.State
	if s.PreviousResponse != "" {
		e := apierror.Invalid("previous_response_id", "the response %q is not known here; send the whole conversation", s.PreviousResponse)
		e.Code = "previous_response_not_found"
		return e
	}
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"conversation", s.Conversation != ""}, {"prompt", s.Prompt != ""}, {"background", s.Background}, {"cachedContent", s.CachedContent != ""},
		{"container", s.Container != "" && !c.own},
	} {
		if f.set {
			return unsupported(f.name, "%s needs state that this service does not keep", f.name)
		}
	}
	return nil
}

func unsupported(param, format string, args ...any) *apierror.Error {
	return &apierror.Error{Kind: apierror.Unsupported, Param: param, Msg: fmt.Sprintf(format, args...)}
}

func withoutEmpty(parts []canon.Part) []canon.Part {
	return slices.DeleteFunc(slices.Clone(parts), func(p canon.Part) bool { return p.Type == canon.PartText && p.Text == "" })
}

// limits sets max_tokens: the client's, else the model's own, and less for answers in one piece, which run into time
// limits.
func (c *conversion) limits() {
	if n := c.req.MaxTokens; n != nil {
		c.maxTok = *n
		if limit := c.facts.MaxOutput; !c.own && limit > 0 && c.maxTok > limit {
			c.maxTok = limit
			c.drop("max_tokens", fmt.Sprintf("lowered to the model's limit of %d", limit))
		}
		return
	}
	c.maxTok = c.facts.MaxOutput
	if c.maxTok == 0 {
		c.maxTok = c.o.DefaultMaxTokens
	}
	if c.maxTok == 0 {
		c.maxTok = fallbackMaxTokens
	}
	if !c.x.Stream {
		c.maxTok = min(c.maxTok, fallbackMaxTokens)
	}
}

// structured asks for JSON: by the model's own means, by a stand-in tool, or in words.
func (c *conversion) structured() {
	out := c.req.Output
	switch out.Kind {
	case canon.OutputJSON:
		c.instruct("Answer with one JSON object only.")
		c.x.fence = true
	case canon.OutputSchema:
		if c.nativeSchema() {
			return
		}
		c.addStandIn()
	}
}

// nativeSchema reports whether output_config.format is used. Clients of other formats may send schemas with open
// objects, which it refuses.
func (c *conversion) nativeSchema() bool {
	if c.o.NoOutputConfig || c.req.Output.Kind != canon.OutputSchema {
		return false
	}
	if c.own && c.o.OwnHost && c.facts.Schema == canon.Unknown { // the client knows the model
		return true
	}
	return c.facts.Schema == canon.Yes && (c.own || closed(c.req.Output.Schema))
}

// closed reports whether every object of a schema forbids members that it does not name.
func closed(v jsontext.Value) bool {
	var n struct {
		Type       jsontext.Value            `json:"type"`
		Additional jsontext.Value            `json:"additionalProperties"`
		Properties map[string]jsontext.Value `json:"properties"`
		Items      jsontext.Value            `json:"items"`
		AnyOf      []jsontext.Value          `json:"anyOf"`
		OneOf      []jsontext.Value          `json:"oneOf"`
		AllOf      []jsontext.Value          `json:"allOf"`
		Defs       map[string]jsontext.Value `json:"$defs"`
		Old        map[string]jsontext.Value `json:"definitions"`
	}
	if v.Kind() != '{' {
		return true
	}
	if json.Unmarshal(v, &n, wire.Lenient) != nil {
		return false
	}
	if (strings.Contains(string(n.Type), `"object"`) || n.Properties != nil) && string(n.Additional) != "false" {
		return false
	}
	for _, m := range []map[string]jsontext.Value{n.Properties, n.Defs, n.Old} {
		for _, s := range m {
			if !closed(s) {
				return false
			}
		}
	}
	for _, s := range slices.Concat(n.AnyOf, n.OneOf, n.AllOf, []jsontext.Value{n.Items}) {
		if !closed(s) {
			return false
		}
	}
	return true
}

// addStandIn offers a tool with the wanted schema. It is forced if nothing forbids that: Claude refuses a forced tool next
// to thinking, so there the model is told instead.
func (c *conversion) addStandIn() {
	name := standInName
	for n := 2; c.names.Back(name) != name || slices.ContainsFunc(c.tools, func(t canon.Tool) bool { return t.Name == name }); n++ {
		name = fmt.Sprintf("%s_%d", standInName, n)
	}
	c.x.standIn = name
	desc := firstOf(c.req.Output.Description, "Gives the final answer. Its arguments are the answer.")
	if c.choice.Mode == canon.ChoiceNone {
		c.tools = nil
	}
	others := len(c.tools) > 0
	c.tools = append(c.tools, canon.Tool{Kind: canon.ToolFunction, Name: name, Description: desc, Schema: c.req.Output.Schema})
	switch {
	case c.choice.Mode == canon.ChoiceNamed:
	case c.thinking.on():
		c.choice = canon.ToolChoice{Mode: canon.ChoiceAuto}
		c.instruct("Give your final answer by calling the tool " + name + ", and in no other way.")
	case others:
		c.choice = canon.ToolChoice{Mode: canon.ChoiceRequired}
		c.instruct("Give your final answer by calling the tool " + name + ", and in no other way.")
	default:
		c.choice = canon.ToolChoice{Mode: canon.ChoiceNamed, Names: []string{name}}
	}
}

func (c *conversion) instruct(text string) {
	c.system = append(c.system, canon.Part{Type: canon.PartText, Text: text})
}

// body writes what has been decided.
func (c *conversion) body() []byte {
	w := writer{b: make([]byte, 0, c.size())}
	w.b = append(w.b, '{')
	w.str("model", c.req.Model)
	w.int("max_tokens", c.maxTok)
	c.writeSystem(&w)
	w.begin("messages", '[')
	for i := range c.turns {
		c.writeTurn(&w, i)
	}
	w.close(']')
	c.writeTools(&w)
	c.writeThinking(&w)
	c.writeOutputConfig(&w)
	c.writeSampling(&w)
	c.writeRest(&w)
	if c.x.Stream {
		w.bool("stream", true)
	}
	w.close('}')
	return w.b
}

// size guesses the body's length, so that it is written into one array.
func (c *conversion) size() int {
	n := 4096 + len(c.req.Body.Raw)
	if n > 4096 {
		return n
	}
	for i := range c.turns {
		for j := range c.turns[i].parts {
			p := &c.turns[i].parts[j]
			n += len(p.Text) + len(p.Args) + 128
			if p.Media != nil {
				n += len(p.Media.Data) * 4 / 3
			}
		}
	}
	return n
}

func (c *conversion) writeSystem(w *writer) {
	if len(c.system) == 0 {
		return
	}
	w.begin("system", '[')
	for i := range c.system {
		c.writeText(w, &c.system[i], c.marks.system[i])
	}
	w.close(']')
}

func (c *conversion) writeOutputConfig(w *writer) {
	if c.o.NoOutputConfig {
		return
	}
	var rest canon.Object
	if v := c.req.Ext["output_config"]; c.own && v != nil {
		rest, _ = canon.ParseObject(v) // written by this package
	}
	native := c.nativeSchema()
	if c.thinking.effort == "" && !native && len(rest.Members) == 0 {
		return
	}
	w.begin("output_config", '{')
	w.opt("effort", c.thinking.effort)
	if native {
		w.begin("format", '{')
		w.str("type", "json_schema")
		w.raw("schema", c.req.Output.Schema)
		w.close('}')
	}
	for _, m := range rest.Members {
		w.raw(m.Name, rest.Get(m.Name))
	}
	w.close('}')
}

func (c *conversion) writeSampling(w *writer) {
	s := c.req.Sampling
	thinks, claude := c.thinking.on(), c.x.family == wire.FamilyClaude
	refused := c.facts.Sampling == canon.No && claude
	if t := s.Temperature; t != nil {
		switch v := min(*t, 1); {
		case refused, thinks && v != 1 && claude:
			c.drop("temperature", "the model takes none here")
		default:
			w.float("temperature", v)
		}
	}
	traits, _ := traitsOf(c.req.Model)
	if s.TopP != nil {
		if refused || thinks && claude || s.Temperature != nil && claude && traits&old == 0 {
			c.drop("top_p", "the model takes none here")
		} else {
			w.float("top_p", *s.TopP)
		}
	}
	if s.TopK != nil {
		if refused || thinks && claude {
			c.drop("top_k", "the model takes none here")
		} else {
			w.int("top_k", *s.TopK)
		}
	}
	stops := slices.DeleteFunc(slices.Clone(c.req.Stop), func(s string) bool { return strings.TrimSpace(s) == "" })
	if len(stops) > 0 {
		w.begin("stop_sequences", '[')
		for _, s := range stops {
			w.sep()
			w.b = wire.AppendString(w.b, s)
		}
		w.close(']')
	}
}

// writeRest writes metadata, the top-level cache mark and, for clients of this format, what they sent besides.
func (c *conversion) writeRest(w *writer) {
	switch {
	case c.own && c.req.Metadata != nil:
		w.raw("metadata", c.req.Metadata)
	case c.req.UserID != "" || c.req.Conversation != "":
		w.begin("metadata", '{')
		w.str("user_id", firstOf(c.req.UserID, sessionUser(c.req.Conversation)))
		w.close('}')
	}
	if !c.own {
		return
	}
	if c.req.Cache != nil && !c.o.NoCacheControl {
		writeCache(w, c.req.Cache, c.req.Ext)
	}
	w.opt("service_tier", c.req.ServiceTier)
	skip := []string{cacheMember, "thinking", "output_config"}
	if c.o.NoContextManagement {
		skip = append(skip, "context_management")
	}
	w.ext(c.req.Ext, skip...)
}

// sessionUser makes a user id of a conversation's key: the same on every turn, and it tells nothing.
func sessionUser(key string) string {
	if key == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("patchbay user " + key))
	return "user_" + hex.EncodeToString(sum[:])
}
