package anthropic

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// usage counts as this format does: input without what came from or went into the cache.
type usage struct {
	Input      *int64 `json:"input_tokens"`
	CacheWrite *int64 `json:"cache_creation_input_tokens"`
	CacheRead  *int64 `json:"cache_read_input_tokens"`
	Split      *struct {
		OneHour *int64 `json:"ephemeral_1h_input_tokens"`
	} `json:"cache_creation"`
	Output  *int64 `json:"output_tokens"`
	Details *struct {
		Thinking *int64 `json:"thinking_tokens"`
	} `json:"output_tokens_details"`
	Ext map[string]jsontext.Value `json:",embed"`
}

// counter keeps the numbers of one answer. A later zero or absent number never erases an earlier one.
type counter struct {
	input, read, write, hour, output, thinking int64
	ext                                        map[string]jsontext.Value
}

func newCounter() counter { return counter{-1, -1, -1, -1, -1, -1, nil} }

// add takes a usage member in and reports whether it held any number.
func (c *counter) add(v jsontext.Value) bool {
	var u usage
	if v.Kind() != '{' || json.Unmarshal(v, &u, wire.Lenient) != nil {
		return false
	}
	any := false
	set := func(dst *int64, p *int64) {
		if p != nil && *p >= 0 {
			any = true
			if *p > 0 || *dst < 0 {
				*dst = *p
			}
		}
	}
	set(&c.input, u.Input)
	set(&c.read, u.CacheRead)
	set(&c.write, u.CacheWrite)
	set(&c.output, u.Output)
	if u.Split != nil {
		set(&c.hour, u.Split.OneHour)
	}
	if u.Details != nil {
		set(&c.thinking, u.Details.Thinking)
	}
	for name, v := range u.Ext {
		if c.ext == nil {
			c.ext = map[string]jsontext.Value{}
		}
		c.ext[name] = v
	}
	return any
}

// usage returns the numbers as canon counts: input with everything.
func (c *counter) usage() *canon.Usage {
	u := canon.UnknownUsage()
	u.CacheRead, u.CacheWrite, u.CacheWrite1h, u.Output, u.Reasoning = c.read, c.write, c.hour, c.output, c.thinking
	if c.input >= 0 || c.read >= 0 || c.write >= 0 {
		u.Input = canon.Known(c.input) + canon.Known(c.read) + canon.Known(c.write)
	}
	return &u
}

// usage writes the usage member of an answer. The numbers are always there: clients crash without them.
func (w *writer) usage(u *canon.Usage, ext map[string]jsontext.Value) {
	var zero canon.Usage
	if u == nil {
		u = &zero
	}
	read, write := canon.Known(u.CacheRead), canon.Known(u.CacheWrite)
	w.begin("usage", '{')
	w.int("input_tokens", max(canon.Known(u.Input)-read-write, 0))
	w.int("cache_creation_input_tokens", write)
	w.int("cache_read_input_tokens", read)
	if u.CacheWrite1h > 0 {
		w.begin("cache_creation", '{')
		w.int("ephemeral_5m_input_tokens", max(write-u.CacheWrite1h, 0))
		w.int("ephemeral_1h_input_tokens", u.CacheWrite1h)
		w.close('}')
	}
	w.int("output_tokens", canon.Known(u.Output))
	if u.Reasoning > 0 {
		w.begin("output_tokens_details", '{')
		w.int("thinking_tokens", u.Reasoning)
		w.close('}')
	}
	w.ext(ext)
	w.close('}')
}
