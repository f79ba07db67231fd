package simulator

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// look takes out what the answer depends on.
func (c *claudeCheck) look(turns []claudeTurn) {
	names := map[string]string{}
	for _, t := range turns {
		var words []string
		results := []result{}
		for _, b := range t.blocks {
			text, _ := b.m["text"].(string)
			switch b.kind {
			case "text":
				if visible(text) || t.role == "system" {
					words = append(words, text)
				}
			case "tool_use":
				id, _ := b.m["id"].(string)
				names[id], _ = b.m["name"].(string)
			case "tool_result":
				r := readResult(b.m)
				r.name = names[r.id]
				results = append(results, r)
			}
		}
		said := strings.Join(words, "\n")
		switch t.role {
		case "system":
			c.t.midwords = append(c.t.midwords, said)
		case "assistant":
			c.t.results = nil
		case "user":
			c.t.results = results
			if len(results) > 0 {
				c.t.rounds++
			}
			if said != "" {
				c.t.lastUser = said
				if len(results) == 0 {
					c.t.rounds = 0
				}
			}
		}
	}
}

func readResult(m map[string]any) result {
	r := result{failed: m["is_error"] == true}
	r.id, _ = m["tool_use_id"].(string)
	if s, ok := m["content"].(string); ok {
		r.text = s
		return r
	}
	var words []string
	list, _ := m["content"].([]any)
	for _, v := range list {
		b, _ := v.(map[string]any)
		if s, ok := b["text"].(string); ok {
			words = append(words, s)
		}
		if b["type"] == "image" {
			r.images++
		}
	}
	r.text = strings.Join(words, "\n")
	return r
}

// mark notes a cache_control and the prompt before it.
func (c *claudeCheck) mark(b map[string]any, at string) {
	m, ok := b["cache_control"].(map[string]any)
	if !ok {
		if b["cache_control"] != nil {
			c.fail("%s.cache_control: Input should be a valid dictionary", at)
		}
		return
	}
	if m["type"] != "ephemeral" {
		c.fail("%s.cache_control.type: Input should be 'ephemeral'", at)
	}
	ttl, _ := m["ttl"].(string)
	if ttl == "" {
		ttl = "5m"
	}
	if ttl != "5m" && ttl != "1h" {
		c.fail("%s.cache_control.ttl: Input should be '5m' or '1h'", at)
	}
	if ttl == "1h" && slices.Contains(c.marks, "5m") {
		c.fail("%s.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that blocks are processed in the following order: `tools`, `system`, `messages`.", at)
	}
	c.marks = append(c.marks, ttl)
	sum := sha256.Sum256([]byte(c.cut.String()))
	c.t.cache = append(c.t.cache, cacheMark{hash: hex.EncodeToString(sum[:]), tokens: c.cut.Len()/4 + 1, hour: ttl == "1h"})
}

// breakpoints counts them; the one at the top level counts too.
func (c *claudeCheck) breakpoints(o map[string]any) {
	n := len(c.marks)
	if o["cache_control"] != nil {
		n++
	}
	if n > 4 {
		c.fail("A maximum of 4 blocks with cache_control may be provided. Found %d.", n)
	}
}

// withoutMark is a block less its cache_control: the mark moves on from turn
// to turn and is no part of what is cached.
func withoutMark(b map[string]any) map[string]any {
	if b["cache_control"] == nil {
		return b
	}
	out := map[string]any{}
	for k, v := range b {
		if k != "cache_control" {
			out[k] = v
		}
	}
	return out
}
