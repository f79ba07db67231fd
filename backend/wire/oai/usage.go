package oai

import "patchbay/backend/canon"

// ParseUsage reads token counts in all spellings that are about.
func ParseUsage(v []byte) (canon.Usage, bool) {
	u := canon.UnknownUsage()
	any := false
	set := func(dst *int64, v []byte) {
		if n := Number(v); n >= 0 && (n > 0 || *dst < 0) {
			*dst, any = n, true
		}
	}
	c := WalkObject(v)
	for c.Next() {
		switch string(c.Name) {
		case "prompt_tokens", "input_tokens":
			set(&u.Input, c.Value)
		case "completion_tokens", "output_tokens":
			set(&u.Output, c.Value)
		case "prompt_cache_hit_tokens", "cached_tokens", "input_cached_tokens", "cache_read_input_tokens":
			set(&u.CacheRead, c.Value)
		case "cache_creation_input_tokens":
			set(&u.CacheWrite, c.Value)
		case "prompt_tokens_details", "input_tokens_details":
			d := WalkObject(c.Value)
			for d.Next() {
				switch string(d.Name) {
				case "cached_tokens":
					set(&u.CacheRead, d.Value)
				case "cache_write_tokens", "cache_creation_input_tokens", "cache_creation_tokens":
					set(&u.CacheWrite, d.Value)
				}
			}
		case "completion_tokens_details", "output_tokens_details":
			set(&u.Reasoning, Member(c.Value, "reasoning_tokens"))
		}
	}
	if u.Input >= 0 && canon.Known(u.CacheRead)+canon.Known(u.CacheWrite) > u.Input { // the prompt was counted without them
		u.Input += canon.Known(u.CacheRead) + canon.Known(u.CacheWrite)
	}
	if u.Reasoning > u.Output && u.Output >= 0 { // the thinking was counted apart
		u.Output += u.Reasoning
	}
	return u, any
}
