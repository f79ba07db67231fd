package simulator

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Description is one scenario as a person reads about it.
type Description struct {
	Name string `json:"name"`
	Text string `json:"text"`
	Args string `json:"args,omitempty"` // an example of its own arguments
}

// Describe lists every scenario, the friendly ones first.
func Describe() []Description {
	out := make([]Description, len(scenarios))
	for i, s := range scenarios {
		out[i] = Description{Name: s.name, Text: s.text, Args: s.example}
	}
	return out
}

type scenarioInfo struct {
	name, text, example string
	apply               func(p *plan, t *turn, a arguments)
}

// scenarios is every scenario in the order of the help text. Entries change a
// plan that already holds the friendly answer.
var scenarios []scenarioInfo

func init() { // breaks the cycle table -> lookup -> table
	scenarios = append(scenarios, answers...)
	scenarios = append(scenarios, shapes...)
	scenarios = append(scenarios, refusals...)
	scenarios = append(scenarios, troubles...)
	scenarios = append(scenarios, kiroScenarios...)
}

// answers are the scenarios that change what is said.
var answers = []scenarioInfo{
	{"text", "A plain text answer.", "text=Hello", func(p *plan, _ *turn, a arguments) {
		p.say(a.text("text", "Hello from the simulator."))
	}},
	{"plain", "The same as text.", "", func(p *plan, _ *turn, a arguments) {
		p.say(a.text("text", "Hello from the simulator."))
	}},
	{"echo", "Says what arrived: text, images, documents, system prompt.", "", func(p *plan, t *turn, _ arguments) {
		p.say(echo(t))
	}},
	{"reasoning", "Thinks first, then answers (signed thinking, reasoning_content).", "thought=Two and two.", func(p *plan, _ *turn, a arguments) {
		thought := a.text("thought", "The person asks for a sum. Two and two make four.")
		p.reply.parts = []part{{kind: reasoningPart, text: thought}, {kind: textPart, text: a.text("text", "It is 4.")}}
		p.reply.finish = finStop
	}},
	{"only_thoughts", "Thinks, and says nothing.", "thought=Two and two.", func(p *plan, _ *turn, a arguments) {
		p.reply.parts, p.reply.finish = []part{{kind: reasoningPart, text: a.text("thought", "The answer is 4.")}}, finStop
	}},
	{"redacted_thinking", "Thinks in a block that only the vendor can read.", "", func(p *plan, _ *turn, a arguments) {
		p.reply.parts = []part{{kind: redactedPart}, {kind: textPart, text: a.text("text", "It is 4.")}}
		p.reply.finish = finStop
	}},
	{"think_tags", "Thinks inside the text, between <think> tags (chat only).", "", func(p *plan, _ *turn, a arguments) {
		p.reply.thinkTags = true
		p.reply.parts = []part{{kind: reasoningPart, text: a.text("thought", "Two and two.")}, {kind: textPart, text: a.text("text", "It is 4.")}}
		p.reply.finish = finStop
	}},
	{"tool_call", "Calls a tool, then quotes its result.", `name=Bash,times=2,args={"command":"ls"}`, oneCall},
	{"reasoning_tool", "Thinks, says a word, then calls a tool.", "", func(p *plan, t *turn, a arguments) {
		oneCall(p, t, a)
		if p.reply.finish == finTools {
			lead := []part{{kind: reasoningPart, text: a.text("thought", "I should look first.")}, {kind: textPart, text: "Looking."}}
			p.reply.parts = append(lead, p.reply.parts...)
		}
	}},
	{"parallel_tools", "Calls several tools at once; in chat their arguments come mixed.", "count=3", parallelCalls},
	{"no_args_tool", "Calls a tool without arguments.", "", func(p *plan, t *turn, a arguments) {
		oneCall(p, t, a)
		for i := range p.reply.parts {
			if p.reply.parts[i].kind == callPart {
				p.reply.parts[i].args = ""
			}
		}
	}},
	{"refusal", "The model declines to answer.", "", func(p *plan, _ *turn, a arguments) {
		p.reply.parts = []part{{kind: refusalPart, text: a.text("text", "I'm sorry, I can't help with that.")}}
		p.reply.finish = finStop
	}},
	{"content_filter", "The service's filter stops the answer.", "", func(p *plan, _ *turn, a arguments) {
		p.say(a.text("text", "This begins well but"))
		p.reply.finish = finFilter
	}},
	{"blocked", "A filter stops the prompt: nothing is said (Gemini: promptFeedback).", "", func(p *plan, _ *turn, _ arguments) {
		p.reply.parts, p.reply.finish = nil, finBlocked
	}},
	{"malformed_call", "The model wrote a call that cannot be read (Gemini; elsewhere an empty answer).", "", func(p *plan, _ *turn, _ arguments) {
		p.reply.parts, p.reply.finish = nil, finMalformed
	}},
	{"finish", "The answer ends with a word of your own: a reason that only one vendor knows.", "reason=eos", func(p *plan, _ *turn, a arguments) {
		p.reply.finish, p.reply.native = finNamed, a.text("reason", "eos")
	}},
	{"length", "The answer is cut by the token limit.", "", func(p *plan, _ *turn, a arguments) {
		p.say(a.text("text", "This answer is longer than the limit and"))
		p.reply.finish = finLength
	}},
	{"cut_call", "A tool call is cut by the token limit in the middle of its arguments.", "", func(p *plan, t *turn, a arguments) {
		oneCall(p, t, a)
		for i, q := range p.reply.parts {
			if q.kind == callPart {
				p.reply.parts[i].args = q.args[:max(len(q.args)-2, 1)]
			}
		}
		p.reply.finish = finLength
	}},
	{"stop_sequence", "The answer ends at a stop sequence.", "sequence=END", func(p *plan, t *turn, a arguments) {
		p.say(a.text("text", "Everything before the stop."))
		p.reply.finish, p.reply.sequence = finSequence, a.text("sequence", "END")
		if len(t.stops) > 0 {
			p.reply.sequence = a.text("sequence", t.stops[0])
		}
	}},
	{"pause", "A long turn is paused (Anthropic).", "", func(p *plan, _ *turn, a arguments) {
		p.say(a.text("text", "Still working."))
		p.reply.finish = finPause
	}},
	{"multi_byte", "Emoji, Chinese and combining marks, written byte by byte.", "", func(p *plan, _ *turn, a arguments) {
		p.say(a.text("text", "Grüße 👩‍👩‍👧‍👦 你好，世界 🇩🇪 e\u0301 \u2028 <b>&amp;</b> ok"))
		p.d.bytewise = true
	}},
	{"big_line", "One piece of several megabytes in one line.", "mb=4", func(p *plan, _ *turn, a arguments) {
		s := strings.Repeat("0123456789abcdef", a.number("mb", 4)<<16)
		p.reply.parts = []part{{kind: textPart, text: s, pieces: []string{s}}}
		p.reply.finish = finStop
	}},
	{"long", "Many small chunks.", "chunks=500", func(p *plan, _ *turn, a arguments) {
		var pieces []string
		for i := range a.number("chunks", 500) {
			pieces = append(pieces, "word"+strconv.Itoa(i)+" ")
		}
		p.reply.parts = []part{{kind: textPart, text: strings.Join(pieces, ""), pieces: pieces}}
		p.reply.finish = finStop
	}},
	{"empty", "A finished answer without any content.", "", func(p *plan, _ *turn, _ arguments) {
		p.reply.parts, p.reply.finish = nil, finStop
	}},
}

// shapes are the scenarios that change how an answer is written.
var shapes = []scenarioInfo{
	{"slow", "Waits between the chunks.", "delay=200ms", func(p *plan, _ *turn, a arguments) {
		p.d.delay = a.duration("delay", 200*time.Millisecond)
	}},
	{"first_byte", "Waits before the first byte.", "delay=2s", func(p *plan, _ *turn, a arguments) {
		p.d.firstByte, p.d.delay = a.duration("delay", 2*time.Second), 0
	}},
	{"crlf", "Lines of the event stream end in CR LF.", "", func(p *plan, _ *turn, _ arguments) { p.d.crlf = true }},
	{"no_space", "No space after the colon in the event stream.", "", func(p *plan, _ *turn, _ arguments) { p.d.noSpace = true }},
	{"comments", "Comments and blank lines between the events.", "", func(p *plan, _ *turn, _ arguments) { p.d.comments = true }},
	{"missing_done", "The stream ends without its last event.", "", func(p *plan, _ *turn, _ arguments) { p.d.noEnd = true }},
	{"empty_output", "The final object of a stream has an empty output (Responses, as ChatGPT's Codex does).", "", func(p *plan, _ *turn, _ arguments) {
		p.reply.bareEnd = true
	}},
	{"text_plain", "The event stream is called text/plain.", "", func(p *plan, _ *turn, _ arguments) { p.d.plainType = true }},
	{"json_to_stream", "Answers a streaming request with one JSON body.", "", func(p *plan, t *turn, _ arguments) { p.d.flip = t.stream }},
	{"sse_to_json", "Answers a plain request with an event stream.", "", func(p *plan, t *turn, _ arguments) { p.d.flip = !t.stream }},
	{"usage", "Sets the numbers of the usage.", "in=120,out=34,cached=96,reasoning=20", func(*plan, *turn, arguments) {}},
	{"cached", "Most of the prompt comes from the cache.", "", func(p *plan, _ *turn, _ arguments) {
		p.reply.usage.in = max(p.reply.usage.in, 2000)
		p.reply.usage.cached, p.reply.usage.written = p.reply.usage.in*3/4, 0
	}},
	{"usage_every_chunk", "Usage in every chunk, growing.", "", func(p *plan, _ *turn, _ arguments) { p.reply.usageEvery = true }},
	{"no_usage", "No usage anywhere.", "", func(p *plan, _ *turn, _ arguments) { p.reply.noUsage = true }},
	{"n_choices", "Several answers to one request (chat).", "n=2", func(p *plan, t *turn, a arguments) {
		p.reply.n = a.number("n", max(t.n, 2))
	}},
	{"logprobs", "Log probabilities for every token (chat).", "", func(p *plan, _ *turn, _ arguments) { p.reply.logprobs = true }},
	{"empty_choices", "choices is empty: of the whole answer, or of a first chunk (chat).", "", odd(oddNoChoices)},
	{"null_delta", "A chunk whose delta is null (chat).", "", odd(oddNullDelta)},
	{"no_envelope", "Neither id nor object, created and model (chat).", "", odd(oddNoEnvelope)},
	{"object_args", "The arguments of calls are an object, not a text (chat); goes with tool_call.", "", odd(oddObjectArgs)},
	{"no_index", "Fragments of calls without an index (chat); goes with tool_call.", "", odd(oddNoIndex)},
	{"no_call_id", "Calls without an id (chat); goes with tool_call.", "", odd(oddNoID)},
	{"same_index", "Two calls under one index (chat); goes with parallel_tools.", "", odd(oddSameIndex)},
	{"gzip", "The answer is compressed, asked for or not.", "", func(p *plan, _ *turn, _ arguments) { p.d.gzip = true }},
	{"unified", "Success with the headers of a subscription's windows (Anthropic).", "", func(p *plan, _ *turn, _ arguments) {
		p.reply.unified = "allowed"
	}},
}

// refusals are the scenarios that answer with an error instead.
var refusals = []scenarioInfo{
	{"rate_limit", "429 with the time to wait.", "retry_after=30", func(p *plan, _ *turn, a arguments) {
		p.fail = &failure{kind: failRate, retryAfter: a.text("retry_after", "30"), window: a.text("window", "")}
	}},
	{"rate_limit_no_time", "429 without a time to wait.", "", fail(failRate)},
	{"insufficient_quota", "No credit left: waiting does not help.", "", fail(failQuota)},
	{"billing", "402: payment needed.", "", fail(failBilling)},
	{"unauthorized", "401: the key is refused.", "", fail(failUnauthorized)},
	{"forbidden", "403: the account may not do this.", "", fail(failForbidden)},
	{"not_found", "404: no such model.", "", func(p *plan, t *turn, _ arguments) {
		p.fail = &failure{kind: failNotFound, model: t.model}
	}},
	{"context_too_long", "400: the prompt does not fit.", "tokens=210000,limit=200000", func(p *plan, _ *turn, a arguments) {
		p.fail = &failure{kind: failTooLong, limit: [2]int{a.number("tokens", 210000), a.number("limit", 200000)}}
	}},
	{"too_large", "413: the body is too large.", "", fail(failTooLarge)},
	{"unsupported_parameter", "400: the model does not take this field.", "param=temperature", func(p *plan, _ *turn, a arguments) {
		name := a.text("param", "temperature")
		p.fail = &failure{kind: failInvalid, param: name, code: "unsupported_parameter",
			message: "Unsupported parameter: '" + name + "' is not supported with this model."}
	}},
	{"invalid_signature", "400: a thinking block does not verify.", "at=messages.1.content.0", func(p *plan, _ *turn, a arguments) {
		p.fail = badSignature(a.text("at", "messages.1.content.0"))
	}},
	{"policy", "400: the three refusals of a credential that is used elsewhere (Anthropic).", "which=2", func(p *plan, _ *turn, a arguments) {
		p.fail = &failure{kind: failInvalid, message: policyTexts[(a.number("which", 1)+2)%3]}
	}},
	{"location", "400 or 403: the service is not offered where you are.", "", fail(failLocation)},
	{"server_error", "500: an error of the service.", "status=502", func(p *plan, _ *turn, a arguments) {
		p.fail = &failure{kind: failServer, status: a.number("status", 0)}
	}},
	{"overload", "503 or 529: the service has no room.", "retry_after=2", func(p *plan, _ *turn, a arguments) {
		p.fail = &failure{kind: failOverload, retryAfter: a.text("retry_after", "")}
	}},
	{"timeout", "504: the service took too long.", "", fail(failTimeout)},
	{"codex_refusal", "A refusal of ChatGPT's Codex service (elsewhere an error 500).", "which=usage_not_included,seconds=3", func(p *plan, _ *turn, a arguments) {
		p.fail = codexFailure(a)
	}},
	{"codex_failed", "The same inside a stream that began well.", "which=at_capacity,after=0", func(p *plan, _ *turn, a arguments) {
		p.d.errorAt, p.d.errorWith = a.number("after", 0), codexFailure(a)
	}},
	{"google", "A refusal of Google's Code Assist service, by its name, as an object, an array, an event, or nested.", "row=quota,form=array", googleRefusal},
}

// policyTexts are refusals that no retry and no other account will change
// (quoted in sendbird/cc-plugin-codex #109 and NousResearch/hermes-agent #48176).
var policyTexts = [3]string{
	"This credential is only authorized for use with Claude Code and cannot be used for other API requests.",
	"Third-party apps now draw from your extra usage, not your plan limits.",
	"You're out of extra usage. Add more to keep going.",
}

// troubles are the scenarios of broken connections and broken bodies.
var troubles = []scenarioInfo{
	{"silence", "Begins and then says nothing; goes on after a while.", "after=1,for=30s", func(p *plan, _ *turn, a arguments) {
		p.d.stallAt, p.d.stallFor = a.number("after", 1), a.duration("for", 10*time.Minute)
	}},
	{"overload_in_200", "An overload reported inside a stream that began well.", "after=0", func(p *plan, _ *turn, a arguments) {
		p.d.errorAt, p.d.errorWith = a.number("after", 0), &failure{kind: failOverload}
	}},
	{"error_chunk", "An error in the middle of the stream.", "after=2", func(p *plan, _ *turn, a arguments) {
		p.d.errorAt, p.d.errorWith = a.number("after", 2), &failure{kind: failServer}
	}},
	{"error_event", "A bare error event in the middle of the stream (Responses).", "after=2", func(p *plan, _ *turn, a arguments) {
		p.d.errorAt, p.d.errorWith = a.number("after", 2), &failure{kind: failServer, bare: true}
	}},
	{"cut", "The connection breaks in the middle of the answer.", "after=2", func(p *plan, _ *turn, a arguments) {
		p.d.cutAt = a.number("after", 2)
	}},
	{"cut_before", "The connection breaks before any answer.", "", func(p *plan, _ *turn, _ arguments) { p.d.cutBefore = true }},
	{"garbage", "Invalid JSON in the middle of the stream.", "after=1", func(p *plan, _ *turn, a arguments) {
		p.d.garbageAt, p.d.garbage = a.number("after", 1), a.text("text", `{"choices":[{"delta":{"content":"bro`)
	}},
	{"html", "502 with an HTML page of a proxy.", "status=502", func(p *plan, _ *turn, a arguments) {
		p.d.raw = &rawAnswer{a.number("status", 502), "text/html", htmlPage}
	}},
	{"html_200", "200 with an HTML page.", "", func(p *plan, _ *turn, _ arguments) {
		p.d.raw = &rawAnswer{200, "text/html", htmlPage}
	}},
	{"empty_200", "200 without a body.", "", func(p *plan, t *turn, _ arguments) {
		mime := "application/json"
		if t.stream {
			mime = eventStream
		}
		p.d.raw = &rawAnswer{200, mime, ""}
	}},
	{"error_200", "200 with an error: an error object, a code, or a type.", "form=code,status=429", func(p *plan, t *turn, a arguments) {
		body := map[string]string{
			"error": `{"error":{"code":%d,"message":"the upstream failed"}}`, "code": `{"code":%d,"message":"the upstream failed"}`,
			"type": `{"type":"error","status":%d,"message":"the upstream failed"}`,
		}[a.text("form", "error")]
		p.d.raw = &rawAnswer{200, "application/json", fmt.Sprintf(body, a.number("status", 503))}
		if t.stream {
			p.d.raw = &rawAnswer{200, eventStream, "data: " + p.d.raw.body + "\n\n"}
		}
	}},
	{"redirect", "Sends the client to another host, which must not see the key.", "status=301", func(p *plan, _ *turn, a arguments) {
		p.d.redirect = &redirect{a.number("status", 307), a.text("to", "")}
	}},
	{"bare_list", "A list of models that is a bare array; for the queue of a list.", "", func(p *plan, _ *turn, _ arguments) {
		p.d.raw = &rawAnswer{200, "application/json", `[{"id":"sim-chat","object":"model"},{"id":"sim-text","object":"model"}]`}
	}},
	{"base_resp", "An error in a 200 body, as MiniMax writes it.", "code=1008", func(p *plan, _ *turn, a arguments) {
		p.d.raw = &rawAnswer{200, "application/json",
			`{"base_resp":{"status_code":` + strconv.Itoa(a.number("code", 1008)) + `,"status_msg":"insufficient balance"}}`}
	}},
}

const htmlPage = "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>" +
	"<body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body></html>\n"

func odd(form string) func(*plan, *turn, arguments) {
	return func(p *plan, _ *turn, _ arguments) { p.reply.odd = form }
}

func fail(kind string) func(*plan, *turn, arguments) {
	return func(p *plan, _ *turn, a arguments) {
		p.fail = &failure{kind: kind, message: a.text("message", "")}
	}
}

// say makes a text the whole answer.
func (p *plan) say(text string) {
	p.reply.parts = []part{{kind: textPart, text: text}}
	p.reply.finish = finStop
}

// decide turns a scenario and a request into a plan.
func decide(sc Scenario, t *turn) *plan {
	p := &plan{reply: friendly(t)}
	p.d = delivery{cutAt: nowhere, stallAt: nowhere, garbageAt: nowhere, errorAt: nowhere}
	p.reply.n, p.reply.logprobs = max(t.n, 1), t.logprobs
	p.reply.usage.in = max(t.tokens, 1)
	args := arguments{}
	if sc != "" {
		// Scenarios were checked when they were chosen.
		if ps, err := sc.parse(); err == nil {
			args = ps.args
			if text, ok := args["text"]; ok {
				p.say(text)
			}
			for _, info := range ps.infos {
				info.apply(p, t, args)
			}
		}
	}
	think(p, t)
	if t.noAnswer {
		p.reply.parts, p.reply.finish = nil, finLength
	}
	obeyStops(p, t)
	p.d.firstByte = args.duration("first_byte", p.d.firstByte)
	if _, own := args["delay"]; own && p.d.firstByte == 0 {
		p.d.delay = args.duration("delay", 0)
	}
	countTokens(p, args)
	return p
}

// think lets a call be preceded by a thought when the client wants thoughts: a
// history whose call has none is refused in the next turn.
func think(p *plan, t *turn) {
	isThought := func(q part) bool { return q.kind == reasoningPart || q.kind == redactedPart }
	if t.thinking && p.reply.finish == finTools && !slices.ContainsFunc(p.reply.parts, isThought) {
		p.reply.parts = slices.Insert(p.reply.parts, 0, part{kind: reasoningPart, text: "A tool will tell."})
	}
}

// obeyStops ends the text where a stop sequence of the request stands in it.
func obeyStops(p *plan, t *turn) {
	if p.reply.finish != finStop || t.schemaOK {
		return
	}
	for i, q := range p.reply.parts {
		if q.kind != textPart {
			continue
		}
		for _, s := range t.stops {
			if at := strings.Index(q.text, s); s != "" && at >= 0 {
				p.reply.parts[i].text, p.reply.parts[i].pieces = q.text[:at], nil
				p.reply.parts = p.reply.parts[:i+1]
				p.reply.finish, p.reply.sequence = finSequence, s
				return
			}
		}
	}
}

// countTokens fills the usage in: four bytes are a token, arguments win.
func countTokens(p *plan, a arguments) {
	u := &p.reply.usage
	for _, q := range p.reply.parts {
		n := (len(q.text)+len(q.args)+len(q.name))/4 + 1
		u.out += n
		if q.kind == reasoningPart || q.kind == redactedPart {
			u.reasoning += n
		}
	}
	for _, name := range []string{"in", "out", "cached", "written", "reasoning"} {
		_, named := a[name]
		u.told = u.told || named
	}
	u.in, u.out = a.number("in", u.in), a.number("out", u.out)
	u.cached, u.written = a.number("cached", u.cached), a.number("written", u.written)
	u.reasoning = a.number("reasoning", u.reasoning)
}
