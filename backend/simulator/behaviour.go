package simulator

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// friendly is the answer that the request itself asks for.
func friendly(t *turn) reply {
	say := func(s string) reply { return reply{parts: []part{{kind: textPart, text: s}}, finish: finStop} }
	r := say("")
	switch {
	case t.choice != "" && t.choice != "auto" && t.choice != "none" && len(t.tools) > 0:
		r = calls(pick(t))
	case t.schemaOK:
		text, _ := json.Marshal(instance(t.schema, t.lastUser))
		return say(string(text)) // structured answers carry no thoughts in the text
	case t.jsonMode:
		text, _ := json.Marshal(map[string]string{"echo": head(t.lastUser, 200)})
		return say(string(text))
	case len(t.results) > 0:
		r = say(quote(t))
	case len(t.tools) > 0 && t.choice != "none" && wantsTool(t):
		r = calls(pick(t))
	case len(t.tools) == 0 && titleWords.MatchString(t.system+"\n"+head(t.lastUser, 300)):
		r = say(title(t.lastUser))
	default:
		r = say(echo(t))
	}
	if t.thinking {
		r.parts = slices.Insert(r.parts, 0, part{kind: reasoningPart, text: "Let me see what is asked for."})
	}
	return r
}

var (
	listWords  = regexp.MustCompile(`(?i)\b(list|show|ls)\b.{0,40}\b(files?|director(y|ies)|folders?)\b`)
	titleWords = regexp.MustCompile(`(?i)\b(title|summari[sz]e|summary)\b`)
)

// listers are the tools that real programs offer for looking at a folder, the
// best first. Names from claude-code 2.1.197, codex 0.169.0, opencode 1.18.33,
// gemini-cli 0.61.0, qwen-code 0.15.10 and cline 3.0.65.
var listers = []string{
	"Bash", "bash", "exec_command", "shell_command", "shell", "local_shell", "run_shell_command", "execute_command",
	"run_commands", "list_directory", "list_files", "LS", "list", "ls", "Glob", "glob",
}

// wantsTool says whether the prompt asks for the files or names a tool.
func wantsTool(t *turn) bool {
	return listWords.MatchString(t.lastUser) || named(t) != nil
}

// named finds the tool that the prompt names: "use the NAME tool", "call NAME".
// The bare word is not enough, tools are called "read" and "task".
func named(t *turn) *tool {
	for i := range t.tools {
		n := regexp.QuoteMeta(t.tools[i].name)
		re := regexp.MustCompile("(?:(?i:use|call|run|invoke)\\s+(?i:the\\s+)?(?i:tool\\s+)?[\"'`]?" + n + "[\"'`]?(?:\\W|$))|[\"'`]" + n + "[\"'`]|\\b" + n + "\\s+(?i:tool)\\b")
		if re.MatchString(t.lastUser) {
			return &t.tools[i]
		}
	}
	return nil
}

// pick chooses the tool for this prompt; there is at least one.
func pick(t *turn) *tool {
	byName := func(name string) *tool {
		for i := range t.tools {
			if t.tools[i].name == name {
				return &t.tools[i]
			}
		}
		return nil
	}
	if found := byName(t.choice); found != nil {
		return found
	}
	if found := named(t); found != nil {
		return found
	}
	for _, name := range listers {
		if found := byName(name); found != nil {
			return found
		}
	}
	for i := range t.tools {
		// Proxies and editors put a prefix before the names they know.
		for _, name := range listers {
			if strings.HasSuffix(t.tools[i].name, "__"+name) {
				return &t.tools[i]
			}
		}
	}
	return &t.tools[0]
}

// calls is the answer that calls these tools.
func calls(tools ...*tool) reply {
	r := reply{finish: finTools}
	for i, tl := range tools {
		r.parts = append(r.parts, part{kind: callPart, name: tl.name, args: fill(tl, i), custom: tl.custom, space: tl.space})
	}
	return r
}

// toolFor finds the tool that a scenario names, else the one for the prompt,
// else a made-up one for a request without tools.
func toolFor(t *turn, a arguments) *tool {
	if name := a["name"]; name != "" {
		for i := range t.tools {
			if t.tools[i].name == name {
				return &t.tools[i]
			}
		}
		return &tool{name: name}
	}
	if len(t.tools) == 0 {
		return &tool{name: "get_weather", schema: map[string]any{"type": "object",
			"properties": map[string]any{"city": map[string]any{"type": "string"}}, "required": []any{"city"}}}
	}
	return pick(t)
}

// oneCall calls one tool. When the results of as many rounds as wanted are
// back it says what they said: a marker stays in the history of an agent and
// must not make it run for ever.
func oneCall(p *plan, t *turn, a arguments) {
	if len(t.results) > 0 && t.rounds >= a.number("times", 1) {
		p.say(quote(t))
		return
	}
	p.reply = reply{usage: p.reply.usage, n: p.reply.n, parts: calls(toolFor(t, a)).parts, finish: finTools}
	if args, ok := a["args"]; ok {
		p.reply.parts[0].args = args
	}
	if text, ok := a["text"]; ok {
		p.reply.parts = slices.Insert(p.reply.parts, 0, part{kind: textPart, text: text})
	}
}

// parallelCalls calls several tools in one turn.
func parallelCalls(p *plan, t *turn, a arguments) {
	if len(t.results) > 0 && t.rounds >= a.number("times", 1) {
		p.say(quote(t))
		return
	}
	var tools []*tool
	for i := range max(a.number("count", 2), 1) {
		if a["name"] == "" && len(t.tools) > 1 {
			tools = append(tools, &t.tools[i%len(t.tools)])
			continue
		}
		tools = append(tools, toolFor(t, a))
	}
	p.reply.parts, p.reply.finish, p.reply.interleave = calls(tools...).parts, finTools, true
}

// quote says what the tools said.
func quote(t *turn) string {
	var b strings.Builder
	for i, r := range t.results {
		if i > 0 {
			b.WriteByte('\n')
		}
		name := r.name
		if name == "" {
			name = "tool"
		}
		word := "said"
		if r.failed {
			word = "failed with"
		}
		fmt.Fprintf(&b, "The %s %s: %s", name, word, head(strings.TrimSpace(r.text), 4000))
		if r.images > 0 {
			fmt.Fprintf(&b, " (with %d images)", r.images)
		}
	}
	return b.String()
}

// title makes a few words of a prompt.
func title(text string) string {
	words := strings.Fields(unmarked(text))
	if len(words) > 5 {
		words = words[:5]
	}
	if len(words) == 0 {
		return "A short talk"
	}
	return strings.Trim(strings.Join(words, " "), ".,:;!?\"'`")
}

// unmarked is a text without the markers that chose its scenario.
func unmarked(text string) string {
	return strings.TrimSpace(marker.ReplaceAllStringFunc(text, func(m string) string {
		if _, err := Scenario(strings.Trim(m, "[]")).parse(); err != nil {
			return m
		}
		return ""
	}))
}

// echo lists what arrived, so that a test or a person sees that nothing got
// lost on the way.
func echo(t *turn) string {
	var b strings.Builder
	fmt.Fprintf(&b, "You said: %s", head(unmarked(t.lastUser), 2000))
	seen := func(what string, list []media) {
		if len(list) == 0 {
			return
		}
		var each []string
		for _, m := range list {
			each = append(each, m.String())
		}
		fmt.Fprintf(&b, "\n%s: %d (%s)", what, len(list), strings.Join(each, "; "))
	}
	seen("images", t.images)
	seen("documents", t.documents)
	seen("audio", t.audio)
	if t.system != "" {
		fmt.Fprintf(&b, "\nsystem prompt: %s", head(t.system, 120))
	}
	for _, m := range t.midwords {
		fmt.Fprintf(&b, "\nsystem word in between: %s", head(m, 120))
	}
	if len(t.tools) > 0 {
		fmt.Fprintf(&b, "\ntools offered: %d", len(t.tools))
	}
	if t.thoughts > 0 {
		fmt.Fprintf(&b, "\nthoughts returned: %d", t.thoughts)
	}
	if t.messages > 1 {
		fmt.Fprintf(&b, "\nmessages: %d", t.messages)
	}
	return b.String()
}

// String describes a medium as the echo shows it.
func (m media) String() string {
	s := m.mime
	if m.width > 0 {
		s += fmt.Sprintf(" %dx%d", m.width, m.height)
	}
	if m.name != "" {
		s += " " + m.name
	}
	if m.size > 0 {
		s += fmt.Sprintf(" %d bytes", m.size)
	}
	return strings.TrimSpace(s)
}

// head cuts a text to n runes.
func head(s string, n int) string {
	i := 0
	for at := range s {
		if i == n {
			return s[:at] + "..."
		}
		i++
	}
	return s
}
