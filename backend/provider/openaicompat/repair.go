package openaicompat

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"

	"patchbay/backend/apierror"
	"patchbay/backend/provider"
	"patchbay/backend/wire/openai"
)

// droppable are the parameters without which an answer is still an answer to what was asked.
var droppable = []string{
	"temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty", "logit_bias", "seed",
	"logprobs", "top_logprobs", "max_tokens", "max_completion_tokens", "reasoning_effort", "reasoning", "thinking", "enable_thinking",
	"parallel_tool_calls", "stream_options", "verbosity", "store", "metadata", "user", "safety_identifier", "service_tier",
	"prompt_cache_key", "prompt_cache_retention", "dimensions",
}

// thinkingFields say how much to think; a service that refuses one of them gets none.
var thinkingFields = []string{"reasoning_effort", "reasoning", "thinking", "enable_thinking"}

// lazily compiles a pattern when it is first used: a refusal is rare, and together these take ten milliseconds and half a
// megabyte.
func lazily(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}

// refusal are the words of services that name no code: "Extra inputs are not permitted" (Mistral), "property 'x' is
// unsupported" (Groq), "invalid temperature: only 1 is allowed" (Kimi), "Unrecognized request argument" (OpenAI).
var refusal = lazily(`(?i)unsupported|not supported|does not support|unknown|unrecognized|not permitted|not allowed|only .{1,20} allowed|unexpected|extra (?:inputs|fields|forbidden)`)

// inWords finds the parameter in the words of services that name it there alone: "invalid temperature: only 1 is allowed"
// (Kimi), "property 'reasoning_effort' is unsupported" (Groq).
var inWords = lazily(`(?i)invalid ([a-z_]+): |property ['"\x60]([a-z_]+)['"\x60] is unsupported`)

// refusedParam returns the parameter that a service does not take, if it can be left out.
func refusedParam(e *apierror.Error) (string, bool) {
	if e.Kind != apierror.InvalidRequest {
		return "", false
	}
	param, _, _ := strings.Cut(e.Param, ".")
	if m := inWords().FindStringSubmatch(e.Msg); param == "" && m != nil {
		param = m[1] + m[2]
	}
	if !slices.Contains(droppable, param) {
		return "", false
	}
	return param, refuses(e)
}

// refuses reports whether an error is about a parameter that the service does not take, not about a wrong value of it.
func refuses(e *apierror.Error) bool {
	switch e.Upstream.Code {
	case "unsupported_parameter", "unsupported_value", "unknown_parameter":
		return true
	}
	return refusal().MatchString(e.Msg)
}

// lessons are refusals of what stands inside messages and tools, and the quirks that a service turns out to have. The words
// are those of DeepSeek, Groq, Kimi, Mistral and of servers written with serde and pydantic.
var lessons = []struct {
	words  func() *regexp.Regexp
	quirks []string
}{
	{lazily(`(?i)(missing|must|require|need)[^.]{0,40}reasoning_content|reasoning_content\S?[^.]{0,30}(is missing|is required|must)`), []string{"reasoning_content=always", "reasoning_filler"}},
	{lazily(`(?i)reasoning_content[^.]{0,60}(not permitted|not allowed|unsupported|not supported|unknown|unexpected|extra)|(unknown|unexpected|unsupported|extra)[^.]{0,40}reasoning_content`), []string{"reasoning_content=never"}},
	{lazily(`(?i)invalid type: (sequence|array)[^.]{0,40}string|content\S?[^.]{0,40}(must|should) be a string|content[^.]{0,40}expected a string`), []string{"string_content"}},
	{lazily(`(?i)response_format[^.]{0,60}(unavailable|not supported|unsupported|not available)|json_schema[^.]{0,60}(not supported|unsupported|unavailable|does not exist)`), []string{"no_json_schema"}},
	{lazily(`(?i)tool_choice[^.]{0,80}(not support|unsupported|only|must be)|(not support|unsupported)[^.]{0,40}tool_choice`), []string{"no_forced_tools"}},
	{lazily(`(?i)\bstrict\b[^.]{0,60}(not permitted|not allowed|unsupported|not supported|unknown|unexpected|extra)|(unknown|unexpected|unsupported|extra)[^.]{0,40}\bstrict\b`), []string{"no_strict"}},
	{lazily(`(?i)unknown variant \S?developer|developer\S?[^.]{0,40}(not one of|not supported|unsupported|invalid)|(invalid|unsupported|unexpected)[^.]{0,30}role[^.]{0,30}developer`), []string{"no_developer_role", "convert"}},
}

// learnedQuirk marks a quirk among what a model was seen to refuse.
const learnedQuirk = "~"

// taught returns the quirks that a refusal shows.
func taught(e *apierror.Error) []string {
	if e.Kind != apierror.InvalidRequest {
		return nil
	}
	text := strings.ReplaceAll(e.Param, ".", " ") + " " + e.Msg
	for _, l := range lessons {
		if l.words().MatchString(text) {
			out := make([]string, len(l.quirks))
			for i, q := range l.quirks {
				out[i] = learnedQuirk + q
			}
			return out
		}
	}
	return nil
}

// lasting reports whether the model will refuse the parameter every time. One effort that it does not know says nothing
// of the others.
func lasting(e *apierror.Error, param string) bool {
	return e.Upstream.Code != "unsupported_value" || !slices.Contains(thinkingFields, param) && param != "verbosity"
}

// apply makes o leave out or rename what a service refuses. It reports whether that changed anything.
func apply(o *openai.Options, params []string) bool {
	changed := false
	for _, p := range params {
		changed = applyOne(o, p) || changed
	}
	return changed
}

func applyOne(o *openai.Options, param string) bool {
	if quirk, ok := strings.CutPrefix(param, learnedQuirk); ok {
		before := *o
		return applyQuirk(o, quirk) && !reflect.DeepEqual(before, *o)
	}
	switch param {
	case "max_tokens", "max_completion_tokens":
		other := "max_completion_tokens"
		if param == other {
			other = "max_tokens"
		}
		if o.MaxTokensField == other { // that is what was just sent
			return false
		}
		o.MaxTokensField = other
		return true
	case "stream_options":
		changed := !o.NoStreamOptions
		o.NoStreamOptions = true
		return changed
	case "parallel_tool_calls":
		changed := !o.NoParallelCalls
		o.NoParallelCalls = true
		return changed
	}
	if slices.Contains(o.Drop, param) {
		return false
	}
	o.Drop = append(slices.Clip(o.Drop), param)
	if slices.Contains(thinkingFields, param) {
		o.ThinkingStyle = openai.ThinkNone
	}
	return true
}

// memory keeps what a model was seen to refuse, with the account.
type memory struct {
	note     func(string) string
	remember func(key, value string)
}

func memoryKey(model string) string { return "refused/" + model }

func (m memory) learned(model string) []string {
	if m.note == nil {
		return nil
	}
	return provider.List(m.note(memoryKey(model)))
}

func (m memory) learn(model, param string) {
	if m.remember == nil {
		return
	}
	have := m.learned(model)
	if slices.Contains(have, param) {
		return
	}
	m.remember(memoryKey(model), strings.Join(append(have, param), ","))
}
