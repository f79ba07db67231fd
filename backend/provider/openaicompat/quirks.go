package openaicompat

import (
	"strconv"
	"strings"

	"patchbay/backend/wire/openai"
)

// switches are quirks that a service has or has not.
var switches = map[string]func(*openai.Options){
	"own_host":             func(o *openai.Options) { o.OwnHost = true },
	"convert":              func(o *openai.Options) { o.ForceConvert = true },
	"rerender":             func(o *openai.Options) { o.Rerender = true },
	"force_stream":         func(o *openai.Options) { o.ForceStream = true },
	"no_stream_options":    func(o *openai.Options) { o.NoStreamOptions = true },
	"no_parallel_calls":    func(o *openai.Options) { o.NoParallelCalls = true },
	"no_developer_role":    func(o *openai.Options) { o.NoDeveloperRole = true },
	"no_names":             func(o *openai.Options) { o.NoNames = true },
	"closed_messages":      func(o *openai.Options) { o.ClosedMessages = true },
	"no_strict":            func(o *openai.Options) { o.NoStrict = true },
	"no_forced_tools":      func(o *openai.Options) { o.NoForcedTools = true },
	"no_tool_choice":       func(o *openai.Options) { o.NoToolChoice = true },
	"no_extensions":        func(o *openai.Options) { o.NoExtensions = true },
	"no_json_schema":       func(o *openai.Options) { o.NoJSONSchema = true },
	"string_content":       func(o *openai.Options) { o.StringContent = true },
	"one_system":           func(o *openai.Options) { o.OneSystem = true },
	"cache_control":        func(o *openai.Options) { o.CacheControl = true },
	"prompt_cache_key":     func(o *openai.Options) { o.PromptCacheKey = true },
	"documents":            func(o *openai.Options) { o.Documents = true },
	"custom_tools":         func(o *openai.Options) { o.CustomTools = true },
	"short_call_ids":       func(o *openai.Options) { o.ShortCallIDs = true },
	"think_tags":           func(o *openai.Options) { o.SplitThinkTags = true },
	"reasoning_split":      func(o *openai.Options) { o.ReasoningSplit = true },
	"tool_stream":          func(o *openai.Options) { o.ToolStream = true },
	"dummy_tool":           func(o *openai.Options) { o.DummyTool = true },
	"error_on_empty_reply": func(o *openai.Options) { o.ErrorOnEmptyReply = true },
}

// values are quirks that say something: "efforts=high|max".
var values = map[string]func(*openai.Options, string) bool{
	"max_tokens": func(o *openai.Options, v string) bool {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n <= 0 {
			return false
		}
		o.DefaultMaxTokens = n
		return true
	},
	"reasoning_content": func(o *openai.Options, v string) bool {
		o.ReasoningContent = v
		return v == openai.ReasoningNever || v == openai.ReasoningWithCalls || v == openai.ReasoningAlways
	},
	"reasoning_filler": func(o *openai.Options, v string) bool {
		if o.ReasoningFiller = v; v == "" {
			o.ReasoningFiller = " "
		}
		return true
	},
	"thinking": func(o *openai.Options, v string) bool {
		o.ThinkingStyle = v
		switch v {
		case openai.ThinkEffort, openai.ThinkEnable, openai.ThinkType, openai.ThinkReasoning, openai.ThinkNone:
			return true
		}
		return false
	},
	"efforts": func(o *openai.Options, v string) bool {
		o.Efforts = strings.Split(v, "|")
		return v != ""
	},
	"effort": func(o *openai.Options, v string) bool { // effort=xhigh>max
		from, to, ok := strings.Cut(v, ">")
		if ok {
			o.EffortMap = with(o.EffortMap, from, to)
		}
		return ok
	},
	"drop": func(o *openai.Options, v string) bool {
		o.Drop = append(o.Drop, v)
		return v != ""
	},
	"rename": func(o *openai.Options, v string) bool { // rename=seed>random_seed
		from, to, ok := strings.Cut(v, ">")
		if ok {
			o.Rename = with(o.Rename, from, to)
		}
		return ok
	},
}

func with(m map[string]string, from, to string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[from] = to
	return m
}

// KnowsQuirk reports whether there is such a quirk.
func KnowsQuirk(quirk string) bool { return applyQuirk(&openai.Options{}, quirk) }

// applyQuirk sets what a quirk means. It reports whether there is such a quirk.
func applyQuirk(o *openai.Options, quirk string) bool {
	if set := switches[quirk]; set != nil {
		set(o)
		return true
	}
	name, v, _ := strings.Cut(quirk, "=")
	set := values[name]
	if set == nil {
		return false
	}
	before := *o
	if !set(o, v) {
		*o = before
		return false
	}
	return true
}
