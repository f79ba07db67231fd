package anthropic

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// searchType is the plainest version of the web search that Anthropic runs.
const searchType = "web_search_20250305"

// serverTool decides about a tool that a service runs itself. It reports whether it is sent; one that is demanded and
// cannot be had is an error.
func (c *conversion) serverTool(t *canon.Tool) (bool, error) {
	if c.own && !c.o.NoTypedTools {
		return true, nil
	}
	kind := strings.ToLower(t.ServerType)
	needed := len(c.req.Tools) == 1 ||
		c.choice.Mode == canon.ChoiceNamed && slices.Contains(c.choice.Names, t.Name) ||
		c.choice.Mode == canon.ChoiceNamed && slices.Contains(c.choice.Names, t.ServerType)
	search := strings.Contains(kind, "web_search") || strings.Contains(kind, "googlesearch") || strings.Contains(kind, "google_search")
	switch {
	case strings.HasPrefix(kind, "mcp"):
		return false, unsupported("tools", "tools of MCP servers are not supported by %s", c.req.Model)
	case search && c.o.OwnHost && !c.o.NoTypedTools && (needed || c.req.Format != "responses"):
		// Clients of Responses (codex) name the search on every call; beside functions it is theirs to do without.
		if needed && c.choice.Mode == canon.ChoiceNamed {
			c.choice.Names = []string{"web_search"}
		}
		*t = canon.Tool{Kind: canon.ToolServer, Name: "web_search", ServerType: searchType, Cache: t.Cache}
		return !slices.ContainsFunc(c.tools, func(o canon.Tool) bool { return o.ServerType == searchType }), nil
	case needed:
		return false, unsupported("tools", "the tool %s is not supported by %s", firstOf(t.ServerType, t.Name), c.req.Model)
	}
	c.drop("tools", "the service has no "+firstOf(t.ServerType, t.Name))
	return false, nil
}

func (c *conversion) writeTools(w *writer) {
	if len(c.tools) == 0 {
		return
	}
	w.begin("tools", '[')
	for i := range c.tools {
		c.writeTool(w, &c.tools[i], c.marks.tools[i])
	}
	w.close(']')
	c.writeChoice(w)
}

func (c *conversion) writeTool(w *writer, t *canon.Tool, mark *canon.Cache) {
	if t.Kind == canon.ToolServer {
		c.writeServerTool(w, t, mark)
		return
	}
	w.open('{')
	name := wire.FlatName(t.Space, t.Name)
	if name != c.x.standIn {
		name = c.names.Out(name)
	}
	w.str("name", name)
	w.opt("description", t.Description)
	w.key("input_schema")
	switch {
	case t.Kind == canon.ToolCustom:
		w.b = appendCustomSchema(w.b, t)
	case c.own && t.Schema != nil && name != c.x.standIn:
		w.b = append(w.b, t.Schema...)
	default:
		w.b = append(w.b, wire.SchemaForClaude(t.Schema)...)
	}
	var ext map[string]jsontext.Value
	if c.own {
		ext = t.Ext
		if t.Strict != nil {
			w.bool("strict", *t.Strict)
		}
	}
	if mark != nil {
		writeCache(w, mark, ext)
	}
	w.ext(ext, cacheMember)
	w.close('}')
}

func (c *conversion) writeServerTool(w *writer, t *canon.Tool, mark *canon.Cache) {
	if !c.own || t.Raw == nil {
		w.open('{')
		w.str("type", t.ServerType)
		w.str("name", t.Name)
		if mark != nil {
			writeCache(w, mark, nil)
		}
		w.close('}')
		return
	}
	if t.Cache != nil && mark == nil {
		if o, err := canon.ParseObject(t.Raw); err == nil {
			w.value(o.AppendEdited(nil, canon.Edit{Name: cacheMember}))
			return
		}
	}
	w.value(t.Raw)
}

// maxGrammar bounds how much of a grammar is put into a description.
const maxGrammar = 4000

// appendCustomSchema describes a tool with free input as a function of one string.
func appendCustomSchema(dst []byte, t *canon.Tool) []byte {
	w := writer{b: append(dst, '{')}
	w.str("type", "object")
	w.begin("properties", '{')
	w.begin(inputMember, '{')
	w.str("type", "string")
	w.opt("description", grammarText(t.Grammar))
	w.close('}')
	w.close('}')
	w.raw("required", jsontext.Value(`["input"]`))
	w.close('}')
	return w.b
}

// grammarText returns the definition in a custom tool's format, which stands in different places.
func grammarText(v jsontext.Value) string {
	var g struct {
		Definition string `json:"definition"`
		Grammar    struct {
			Definition string `json:"definition"`
		} `json:"grammar"`
	}
	if v.Kind() != '{' || json.Unmarshal(v, &g, wire.Lenient) != nil {
		return ""
	}
	s := firstOf(g.Definition, g.Grammar.Definition)
	if len(s) > maxGrammar {
		s = strings.ToValidUTF8(s[:maxGrammar], "")
	}
	return s
}

func (c *conversion) writeChoice(w *writer) {
	kind, name := "", ""
	switch c.choice.Mode {
	case canon.ChoiceAuto:
		kind = "auto"
	case canon.ChoiceNone:
		kind = "none"
	case canon.ChoiceRequired:
		kind = "any"
	case canon.ChoiceNamed:
		kind, name = "tool", c.choice.Names[0]
	}
	parallel := c.req.Parallel
	if c.x.standIn != "" && kind != "auto" && kind != "" {
		no := false
		parallel = &no
	}
	if kind == "" && parallel != nil && (!*parallel || c.own) {
		kind = "auto"
	}
	if kind == "" {
		return
	}
	w.begin("tool_choice", '{')
	w.str("type", kind)
	w.opt("name", name)
	if parallel != nil && (!*parallel || c.own) && kind != "none" {
		w.bool("disable_parallel_tool_use", !*parallel)
	}
	w.close('}')
}
