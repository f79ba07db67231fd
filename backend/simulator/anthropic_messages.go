package simulator

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// claudeTurn is one turn after neighbours of one role are merged, as the API
// does it.
type claudeTurn struct {
	role   string
	at     int // index of the first message
	blocks []claudeBlock
}

type claudeBlock struct {
	kind string
	path string
	m    map[string]any
}

// messages checks the conversation.
func (c *claudeCheck) messages(o map[string]any) {
	list, _ := o["messages"].([]any)
	if len(list) == 0 {
		c.fail("messages: at least one message is required")
		return
	}
	c.t.messages = len(list)
	var turns []claudeTurn
	for i, v := range list {
		m, ok := v.(map[string]any)
		if !ok {
			c.fail("messages.%d: Input should be a valid dictionary", i)
			return
		}
		turns = c.message(turns, m, i)
		if c.f != nil {
			return
		}
	}
	c.order(turns)
	c.pairs(turns)
	c.ending(turns)
	c.manualThinking(o, turns)
	c.look(turns)
}

// message reads one message and joins it to its neighbour of the same role.
func (c *claudeCheck) message(turns []claudeTurn, m map[string]any, i int) []claudeTurn {
	path := fmt.Sprintf("messages.%d", i)
	for _, name := range sortedKeys(m) {
		if name != "role" && name != "content" {
			c.fail("%s.%s: Extra inputs are not permitted", path, name)
		}
	}
	role, _ := m["role"].(string)
	switch role {
	case "user", "assistant":
	case "system":
		if !c.model.modern {
			c.fail("messages: Unexpected role \"system\". The Messages API accepts a top-level `system` parameter, not \"system\" as an input message role.")
		}
	default:
		c.fail("messages: Unexpected role %q. Allowed roles are \"user\" or \"assistant\".", role)
	}
	blocks := c.blocks(m, role, path)
	if n := len(turns); n > 0 && turns[n-1].role == role && role != "system" {
		turns[n-1].blocks = append(turns[n-1].blocks, blocks...)
		return turns
	}
	return append(turns, claudeTurn{role: role, at: i, blocks: blocks})
}

// blocks reads the content of a message.
func (c *claudeCheck) blocks(m map[string]any, role, path string) []claudeBlock {
	switch v := m["content"].(type) {
	case string:
		if v == "" {
			c.fail("%s: user messages must have non-empty content", path)
		}
		c.cut.WriteString(v)
		return []claudeBlock{{"text", path + ".content", map[string]any{"type": "text", "text": v}}}
	case []any:
		if len(v) == 0 && role != "assistant" {
			c.fail("%s: all messages must have non-empty content except for the optional final assistant message", path)
		}
		var out []claudeBlock
		for i, one := range v {
			at := fmt.Sprintf("%s.content.%d", path, i)
			b, ok := one.(map[string]any)
			if !ok {
				c.fail("%s: Input should be a valid dictionary", at)
				return nil
			}
			kind, _ := b["type"].(string)
			c.block(b, kind, role, at)
			c.mark(b, at)
			out = append(out, claudeBlock{kind, at, b})
		}
		return out
	case nil:
		c.fail("%s.content: Field required", path)
	default:
		c.fail("%s.content: Input should be a valid string or list", path)
	}
	return nil
}

// claudeBlocks lists the fields of each block and the role that may send it.
var claudeBlocks = map[string]struct{ role, fields string }{
	"text":              {"user assistant system", "type text cache_control citations"},
	"image":             {"user", "type source cache_control"},
	"document":          {"user", "type source cache_control title context citations"},
	"search_result":     {"user", "type source title content cache_control citations"},
	"tool_result":       {"user", "type tool_use_id content is_error cache_control"},
	"tool_use":          {"assistant", "type id name input cache_control caller"},
	"thinking":          {"assistant", "type thinking signature"},
	"redacted_thinking": {"assistant", "type data"},
}

// block checks one content block.
func (c *claudeCheck) block(b map[string]any, kind, role, at string) {
	c.cut.Write(encode(withoutMark(b)))
	spec, known := claudeBlocks[kind]
	if !known {
		if !vendorBlock.MatchString(kind) {
			c.fail("%s: Input tag '%s' found using 'type' does not match any of the expected tags", at, kind)
		}
		return
	}
	if !slices.Contains(strings.Fields(spec.role), role) {
		c.fail("%s: `%s` blocks are not permitted in `%s` messages", at, kind, role)
	}
	for _, name := range sortedKeys(b) {
		if !slices.Contains(strings.Fields(spec.fields), name) {
			c.fail("%s.%s.%s: Extra inputs are not permitted", at, kind, name)
		}
	}
	switch kind {
	case "text":
		c.textBlock(b, at, "messages")
	case "image":
		c.image(b, at)
	case "document":
		c.document(b, at)
	case "tool_use":
		c.toolUse(b, at)
	case "tool_result":
		c.toolResult(b, at)
	case "thinking":
		text, ok := b["thinking"].(string)
		signature, signed := b["signature"].(string)
		if !ok || !signed {
			c.fail("%s.thinking.signature: Field required", at)
		}
		if !verify(text, signature) {
			c.refuseSignature(at)
		}
		c.t.thoughts++
	case "redacted_thinking":
		if data, _ := b["data"].(string); !verify("redacted", data) {
			c.fail("%s: Invalid `data` in `redacted_thinking` block", at)
		}
		c.t.thoughts++
	}
}

// vendorBlock matches blocks of tools that the vendor runs: kept as they are.
var vendorBlock = regexp.MustCompile(`^(server_tool_use|[a-z_]+_tool_result|container_upload|compaction|fallback|mcp_tool_use)$`)

func badSignature(at string) *failure {
	return &failure{kind: failSignature, message: at + ": Invalid `signature` in `thinking` block"}
}

func (c *claudeCheck) refuseSignature(at string) {
	if c.f == nil {
		c.f = badSignature(at)
	}
}

// textBlock returns the text of a block and refuses empty ones.
func (c *claudeCheck) textBlock(b map[string]any, at, where string) string {
	text, ok := b["text"].(string)
	switch {
	case b["text"] == nil:
		c.fail("%s.text.text: Field required", at)
	case !ok:
		c.fail("%s.text.text: Input should be a valid string", at)
	case text == "":
		c.fail("%s: text content blocks must be non-empty", where)
	case strings.TrimSpace(text) == "" && where == "messages":
		c.fail("%s: text content blocks must contain non-whitespace text", where)
	}
	return text
}

func (c *claudeCheck) image(b map[string]any, at string) {
	src, _ := b["source"].(map[string]any)
	switch src["type"] {
	case "base64":
		kind, _ := src["media_type"].(string)
		if !slices.Contains([]string{"image/jpeg", "image/png", "image/gif", "image/webp"}, kind) {
			c.fail("%s.image.source.base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'", at)
		}
		text, _ := src["data"].(string)
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			c.fail("%s.image.source.base64.data: Invalid base64 data", at)
		}
		m, ok := sniffImage(data)
		if !ok {
			c.fail("%s.image.source.base64.data: Could not process image", at)
		} else if m.mime != kind {
			c.fail("%s.image.source.base64.data: The image was specified using the %s media type, but the image appears to be a %s image", at, kind, m.mime)
		}
		c.t.images = append(c.t.images, m)
	case "url":
		url, _ := src["url"].(string)
		if !webAddress(url) {
			c.fail("%s.image.source.url.url: Only HTTPS URLs are supported.", at)
		}
		c.t.images = append(c.t.images, media{name: url})
	case "file":
		id, _ := src["file_id"].(string)
		c.t.images = append(c.t.images, media{name: id})
	default:
		c.fail("%s.image.source: Input tag '%v' found using 'type' does not match any of the expected tags: 'base64', 'file', 'url'", at, src["type"])
	}
}

func (c *claudeCheck) document(b map[string]any, at string) {
	src, _ := b["source"].(map[string]any)
	title, _ := b["title"].(string)
	kind, _ := src["media_type"].(string)
	text, _ := src["data"].(string)
	switch src["type"] {
	case "base64":
		data, err := base64.StdEncoding.DecodeString(text)
		if kind != "application/pdf" {
			c.fail("%s.document.source.base64.media_type: Input should be 'application/pdf'", at)
		} else if err != nil || !strings.HasPrefix(string(data), "%PDF-") {
			c.fail("%s.document.source.base64.data: The PDF specified was not valid.", at)
		}
		c.t.documents = append(c.t.documents, media{mime: kind, size: len(data), name: title})
	case "text":
		if kind != "text/plain" {
			c.fail("%s.document.source.text.media_type: Input should be 'text/plain'", at)
		}
		c.t.documents = append(c.t.documents, media{mime: kind, size: len(text), name: title})
	case "url", "file", "content":
		c.t.documents = append(c.t.documents, media{name: strings.TrimSpace(title + " " + fmt.Sprint(src["type"]))})
	default:
		c.fail("%s.document.source: Input tag '%v' found using 'type' does not match any of the expected tags: 'base64', 'content', 'file', 'text', 'url'", at, src["type"])
	}
}

var claudeID = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)

func (c *claudeCheck) toolUse(b map[string]any, at string) {
	id, _ := b["id"].(string)
	if !claudeID.MatchString(id) {
		c.fail("%s.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'", at)
	}
	if c.ids[id] {
		c.fail("%s: `tool_use` ids must be unique", strings.SplitN(at, ".content", 2)[0])
	}
	c.ids[id] = true
	if name, _ := b["name"].(string); !claudeToolName.MatchString(name) {
		c.fail("%s.tool_use.name: String should match pattern '^[a-zA-Z0-9_-]{1,200}$'", at)
	}
	if b["input"] == nil {
		c.fail("%s.tool_use.input: Field required", at)
	} else if claudeKind(b["input"]) != "dictionary" {
		c.fail("%s.tool_use.input: Input should be a valid dictionary", at)
	}
}

func (c *claudeCheck) toolResult(b map[string]any, at string) {
	if id, ok := b["tool_use_id"].(string); !ok {
		c.fail("%s.tool_result.tool_use_id: Field required", at)
	} else if !claudeID.MatchString(id) {
		c.fail("%s.tool_result.tool_use_id: String should match pattern '^[a-zA-Z0-9_-]+$'", at)
	}
	list, _ := b["content"].([]any)
	for i, v := range list {
		inner, ok := v.(map[string]any)
		kind, _ := inner["type"].(string)
		if !ok || !slices.Contains([]string{"text", "image", "document", "search_result", "tool_reference"}, kind) {
			c.fail("%s.tool_result.content.%d: Input tag '%s' found using 'type' does not match any of the expected tags", at, i, kind)
			return
		}
		if kind != "tool_reference" {
			c.block(inner, kind, "user", fmt.Sprintf("%s.tool_result.content.%d", at, i))
			c.mark(inner, fmt.Sprintf("%s.tool_result.content.%d", at, i))
		}
	}
	if kind := claudeKind(b["content"]); kind != "list" && kind != "string" && kind != "null" {
		c.fail("%s.tool_result.content: Input should be a valid string or list", at)
	}
}

// order checks where turns may stand.
func (c *claudeCheck) order(turns []claudeTurn) {
	if turns[0].role != "user" {
		c.fail("messages: first message must use the \"user\" role")
	}
	for i, t := range turns {
		if t.role != "system" {
			continue
		}
		before := turns[max(i-1, 0)]
		serverEnd := len(before.blocks) > 0 && vendorBlock.MatchString(before.blocks[len(before.blocks)-1].kind)
		if before.role != "user" && !serverEnd {
			c.fail("messages.%d: `system` messages must follow a `user` message", t.at)
		}
		if i+1 < len(turns) && turns[i+1].role != "assistant" {
			c.fail("messages.%d: `system` messages must be last or be followed by an `assistant` message", t.at)
		}
	}
}

// pairs checks that calls and results belong together: every call is answered
// in the next user turn, results first.
func (c *claudeCheck) pairs(turns []claudeTurn) {
	var open []string
	for i, t := range turns {
		if t.role == "system" {
			continue
		}
		var answered []string
		for k, b := range t.blocks {
			if b.kind != "tool_result" {
				continue
			}
			id, _ := b.m["tool_use_id"].(string)
			if t.role == "user" && !slices.Contains(open, id) {
				c.fail("%s: unexpected `tool_use_id` found in `tool_result` blocks: %s. Each `tool_result` block must have a corresponding `tool_use` block in the previous message.", b.path, id)
			}
			if slices.Contains(answered, id) {
				c.fail("%s: each tool_use must have a single result. Found multiple `tool_result` blocks with id: %s", b.path, id)
			}
			if k == len(answered) { // only those in front count
				answered = append(answered, id)
			}
		}
		if missing := without(open, answered); len(missing) > 0 {
			c.fail("messages.%d: `tool_use` ids were found without `tool_result` blocks immediately after: %s. Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
				turns[i-1].at, strings.Join(missing, ", "))
		}
		open = nil
		for _, b := range t.blocks {
			if id, ok := b.m["id"].(string); ok && b.kind == "tool_use" {
				open = append(open, id)
			}
		}
	}
	if len(open) > 0 {
		c.fail("messages.%d: `tool_use` ids were found without `tool_result` blocks immediately after: %s. Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
			turns[len(turns)-1].at, strings.Join(open, ", "))
	}
}

func without(list, taken []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(taken, s) })
}

// ending checks a prefilled answer.
func (c *claudeCheck) ending(turns []claudeTurn) {
	last := turns[len(turns)-1]
	if last.role != "assistant" {
		return
	}
	if n := len(last.blocks); n > 0 && vendorBlock.MatchString(last.blocks[n-1].kind) {
		return // a paused turn goes on
	}
	if c.model.adaptive && !strings.HasPrefix(c.model.id, "sim-") || c.t.thinking {
		c.fail("This model does not support assistant message prefill. The conversation must end with a user message.")
	}
	if n := len(last.blocks); n > 0 && last.blocks[n-1].kind == "text" {
		text, _ := last.blocks[n-1].m["text"].(string)
		if text != strings.TrimRightFunc(text, unicode.IsSpace) {
			c.fail("messages: final assistant content cannot end with trailing whitespace")
		}
	}
}

// manualThinking checks that the last assistant turn of a tool loop still
// begins with its thoughts.
func (c *claudeCheck) manualThinking(o map[string]any, turns []claudeTurn) {
	m, _ := o["thinking"].(map[string]any)
	if m["type"] != "enabled" {
		return
	}
	for i := len(turns) - 1; i >= 0; i-- {
		t := turns[i]
		if t.role != "assistant" {
			continue
		}
		calls := slices.ContainsFunc(t.blocks, func(b claudeBlock) bool { return b.kind == "tool_use" })
		if first := t.blocks[0]; calls && first.kind != "thinking" && first.kind != "redacted_thinking" {
			c.fail("messages.%d.content.0.type: Expected `thinking` or `redacted_thinking`, but found `%s`. When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from previous turns. To avoid this requirement, disable `thinking`. %s", t.at, first.kind, thinkingDocs)
		}
		return
	}
}
