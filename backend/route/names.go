package route

import (
	"slices"
	"strconv"
	"strings"

	"patchbay/backend/canon"
)

// looseNames is the format whose clients do not send a model's name back as they got it.
const looseNames = "ollama"

// suffixed is a model's name without what clients append to it.
type suffixed struct {
	model     string
	reasoning *canon.Reasoning // what the suffix asked for
}

// parseSuffix takes ":latest" (Ollama), "[1m]", "(high)", "(16384)" and "-thinking" off the end of a name that is not
// itself a listed one.
func parseSuffix(model, format string, listed func(string) bool) suffixed {
	s := suffixed{model: model}
	if listed(model) {
		return s
	}
	// Some apps write versions of Claude with a dot.
	if dashed := strings.ReplaceAll(model, ".", "-"); strings.HasPrefix(model, "claude-") && listed(dashed) {
		s.model = dashed
		return s
	}
	if format == looseNames {
		s.model = strings.TrimSuffix(s.model, ":latest")
	}
	for again := true; again; { // both may stand there, in either order
		again = false
		if low := strings.ToLower(s.model); strings.HasSuffix(low, "[1m]") {
			s.model, again = s.model[:len(s.model)-len("[1m]")], true
		}
		if head, word, ok := parenthesised(s.model); ok && s.reasoning == nil {
			if r := reasoningOf(word); r != nil {
				s.model, s.reasoning, again = head, r, true
			}
		}
	}
	if base, ok := strings.CutSuffix(s.model, "-thinking"); ok && !listed(s.model) && listed(base) {
		s.model = base
		if s.reasoning == nil {
			s.reasoning = &canon.Reasoning{Mode: canon.ReasonOn, Source: "suffix"}
		}
	}
	return s
}

func parenthesised(model string) (head, word string, ok bool) {
	if !strings.HasSuffix(model, ")") {
		return "", "", false
	}
	i := strings.LastIndexByte(model, '(')
	if i <= 0 {
		return "", "", false
	}
	return strings.TrimRight(model[:i], " "), model[i+1 : len(model)-1], true
}

func reasoningOf(word string) *canon.Reasoning {
	switch word = strings.ToLower(strings.TrimSpace(word)); word {
	case "none":
		return &canon.Reasoning{Mode: canon.ReasonOff, Source: "suffix"}
	case "auto":
		return &canon.Reasoning{Mode: canon.ReasonAuto, Source: "suffix"}
	case "minimal", "low", "medium", "high", "xhigh", "max":
		return &canon.Reasoning{Mode: canon.ReasonOn, Effort: word, Source: "suffix"}
	}
	n, err := strconv.ParseInt(word, 10, 64)
	switch {
	case err != nil || n < -1:
		return nil
	case n == 0:
		return &canon.Reasoning{Mode: canon.ReasonOff, Source: "suffix"}
	case n == -1:
		return &canon.Reasoning{Mode: canon.ReasonAuto, Source: "suffix"}
	default:
		return &canon.Reasoning{Mode: canon.ReasonOn, Budget: &n, Source: "suffix"}
	}
}

// sameFamily reports whether a client of that format may know the model names of an upstream of that wire format.
func sameFamily(wire, format string) bool {
	return family(wire) == family(format)
}

func family(format string) string {
	switch format {
	case "responses", "openai":
		return "openai"
	default:
		return format
	}
}

// undated takes a date off the end of a model's id: "-20250929" or "-2025-09-29". Vendors answer to both.
func undated(id string) (base string, dated bool) {
	for _, n := range []int{9, 11} {
		if len(id) <= n {
			continue
		}
		head, tail := id[:len(id)-n], id[len(id)-n:]
		digits := strings.ReplaceAll(tail, "-", "")
		if tail[0] == '-' && len(digits) == 8 && strings.HasPrefix(digits, "20") && strings.Trim(digits, "0123456789") == "" {
			return head, true
		}
	}
	return id, false
}

// ownNames are the beginnings of the model names of a wire format's own maker.
var ownNames = map[string]string{"claude-": "anthropic", "gemini-": "gemini"}

// smallWords mark a maker's small models.
var smallWords = []string{"haiku", "flash", "mini", "nano", "lite", "small", "fast"}

// inventedNames are model names that Gemini CLI 0.61.0 sends without the person having typed them: the first for a short
// call that rates each prompt, the others for what was asked as "auto" or by another name. Services that know their maker's
// names get such a name as it is only if they list it.
var inventedNames = map[string]string{
	"gemini-3.5-flash-lite":  "gemini",
	"gemini-3.8-flash":       "gemini",
	"gemini-3.1-pro-preview": "gemini",
}

// sideModel replaces a name that a client program uses by itself, without the person having typed it: Claude Code asks
// for claude-haiku-* beside its main model, Gemini CLI for gemini-* names of its own table. Such a name must lead
// somewhere, or the program stops. A service of the names' own maker gets all others as they are.
func (x *index) sideModel(p *Provider, model, format string) (string, bool) {
	name := strings.ToLower(model)
	if sameFamily(p.Wire, format) && inventedNames[name] != p.Wire {
		return "", false
	}
	for begin, wire := range ownNames {
		if strings.HasPrefix(name, begin) && (wire != p.Wire || inventedNames[name] == wire) {
			m := x.defaultModel(p, isSmall(name))
			return m, m != ""
		}
	}
	return "", false
}

// specialWords mark models that hold no plain conversation.
var specialWords = []string{"embed", "embedding", "image", "tts", "audio", "live", "video", "robotics", "whisper", "transcribe", "moderation", "realtime", "aqa", "dall"}

func isSmall(name string) bool { return hasWord(name, smallWords) }

// hasWord looks for whole words: "gemini" holds "mini".
func hasWord(name string, words []string) bool {
	parts := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return strings.ContainsRune("-_./: ", r) })
	return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(parts, w) })
}

// Talks reports whether a model holds plain conversations, as far as its entry and its name tell.
func Talks(m *canon.Model) bool {
	return m.Embeddings != canon.Yes && m.Pictures != canon.Yes && !strings.Contains(m.ID, "embed") && !hasWord(m.ID, specialWords)
}

// defaultModel is the first model of a provider's list that holds conversations; with small, the first small one.
func (x *index) defaultModel(p *Provider, small bool) string {
	first := ""
	for i := range x.lists[p.ID] {
		m := &x.lists[p.ID][i]
		if !Talks(m) || x.hidden(p, m.ID) {
			continue
		}
		if isSmall(m.ID) == small {
			return m.ID
		}
		if first == "" {
			first = m.ID
		}
	}
	return first
}

// near returns up to three listed models whose names look like model's.
func (x *index) near(model string, may func(*canon.Model) bool) []string {
	want := strings.ToLower(model)
	type scored struct {
		id string
		n  int
	}
	var best []scored
	for i := range x.all {
		m := &x.all[i]
		if !may(m) {
			continue
		}
		have := strings.ToLower(m.ID)
		n := commonPrefix(want, have)
		if strings.Contains(have, want) || strings.Contains(want, have) {
			n += 100
		}
		if n >= 4 {
			best = append(best, scored{m.ID, n})
		}
	}
	slices.SortStableFunc(best, func(a, b scored) int { return b.n - a.n })
	var out []string
	for _, s := range best[:min(len(best), 3)] {
		out = append(out, s.id)
	}
	return out
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
