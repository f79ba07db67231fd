package kiro

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"patchbay/backend/apierror"
	"patchbay/backend/wire"
)

// What stands where a text must stand and there is none. Words in the history are imitated by the models, so blanks stand there.
const (
	fillBlank    = " "
	fillResults  = "Tool results provided."
	fillContinue = "Continue"
	fillHello    = "Hello"
	fillFailed   = "Tool execution failed"
)

// arrange brings the turns into the order that the service enforces: user and assistant in turn, a user first and last, every
// call answered in the next turn, and the system prompt in front.
func (c *conversion) arrange() {
	if c.flat {
		c.flatten()
	}
	c.prefill()
	c.merge()
	system := c.system()
	if !c.turns[0].user {
		first := system
		if first == "" {
			first = fillHello
		}
		c.turns = slices.Insert(c.turns, 0, turn{user: true, texts: []string{first}})
		system = ""
	}
	c.repair()
	c.pictures()
	if system != "" {
		t := &c.turns[0]
		if t.blank() {
			t.texts = []string{system}
		} else {
			t.texts = []string{system + "\n\n" + t.text()}
		}
	}
	c.placeholders()
}

// flatten turns calls and results into text, for a request that allows no tools.
func (c *conversion) flatten() {
	for i := range c.turns {
		t := &c.turns[i]
		for _, u := range t.uses {
			t.texts = append(t.texts, fmt.Sprintf("[tool call %s: %s]", u.name, u.args))
		}
		var said []string
		for _, r := range t.results {
			said = append(said, resultText(r))
		}
		t.texts = append(said, t.texts...)
		t.uses, t.results = nil, nil
	}
}

func resultText(r result) string { return "[tool result " + r.id + "] " + r.text }

// prefill ends the conversation with a user's turn: an answer that the client began is kept as a turn that goes on.
func (c *conversion) prefill() {
	last := &c.turns[len(c.turns)-1]
	if last.user {
		return
	}
	if len(last.uses) == 0 {
		switch strings.TrimSpace(last.text()) {
		case "{", "[": // the answer shall be JSON; the service would only quote it
			if len(c.turns) > 1 {
				c.turns = c.turns[:len(c.turns)-1]
				c.prefill()
				return
			}
		}
		c.turns = append(c.turns, turn{user: true, texts: []string{fillContinue}})
		return
	}
	c.turns = append(c.turns, turn{user: true}) // repair answers the calls
}

// merge makes one turn of neighbours of one role.
func (c *conversion) merge() {
	out := c.turns[:1]
	for _, t := range c.turns[1:] {
		last := &out[len(out)-1]
		if last.user != t.user {
			out = append(out, t)
			continue
		}
		last.texts = append(slices.Clip(last.texts), t.texts...)
		last.uses = append(slices.Clip(last.uses), t.uses...)
		last.results = append(slices.Clip(last.results), t.results...)
		last.images = append(slices.Clip(last.images), t.images...)
		last.thought += t.thought
		if last.native == nil {
			last.native = t.native
		}
	}
	c.turns = out
}

// repair gives every call an id that the service takes and exactly one result, in the turn behind it.
func (c *conversion) repair() {
	taken := map[string]bool{}
	type place struct{ turn, use int }
	open := map[string][]place{} // calls by the client's id
	for i := range c.turns {
		for j := range c.turns[i].uses {
			id := c.turns[i].uses[j].id
			open[id] = append(open[id], place{i, j})
			c.turns[i].uses[j].id = freshID(id, i, j, taken)
		}
	}
	answers := make([][]result, len(c.turns))
	answer := func(p place, r result) {
		u := &c.turns[p.turn].uses[p.use]
		u.answered, r.id = true, u.id
		answers[p.turn+1] = append(answers[p.turn+1], r)
	}
	var lost []place // results without their call: turn and index
	for i := range c.turns {
		for j, r := range c.turns[i].results {
			at := slices.IndexFunc(open[r.id], func(p place) bool { return p.turn == i-1 })
			if at < 0 {
				lost = append(lost, place{i, j})
				continue
			}
			// of a call that has its result the first one stays
			if p := openPlace(open[r.id], i-1, func(p place) (int, bool) { return p.turn, c.turns[p.turn].uses[p.use].answered }); p >= 0 {
				answer(open[r.id][p], r)
			}
		}
	}
	for _, l := range lost {
		r := c.turns[l.turn].results[l.use]
		at := slices.IndexFunc(open[r.id], func(p place) bool { return !c.turns[p.turn].uses[p.use].answered })
		if at >= 0 {
			answer(open[r.id][at], r)
			continue
		}
		t := &c.turns[l.turn]
		t.texts = append([]string{resultText(r)}, t.texts...)
	}
	for i := range c.turns {
		t := &c.turns[i]
		for j := range t.uses {
			if !t.uses[j].answered {
				answer(place{i, j}, result{text: fillFailed, failed: true})
			}
		}
	}
	c.settle(answers)
}

// openPlace returns the index of the first call in the wanted turn that has no result yet, -1 for none.
func openPlace[T any](list []T, want int, look func(T) (turn int, answered bool)) int {
	return slices.IndexFunc(list, func(p T) bool {
		turn, answered := look(p)
		return turn == want && !answered
	})
}

// settle puts the results into their turns, in the order of the calls.
func (c *conversion) settle(answers [][]result) {
	for i := range c.turns {
		t := &c.turns[i]
		t.results = answers[i]
		if i == 0 || len(t.results) == 0 {
			continue
		}
		order := map[string]int{}
		for j, u := range c.turns[i-1].uses {
			order[u.id] = j
		}
		slices.SortStableFunc(t.results, func(a, b result) int { return order[a.id] - order[b.id] })
	}
	// a turn of which nothing is left goes; a call stands never before it
	n := 0
	kept := c.turns[:0]
	for i, t := range c.turns {
		if t.user && t.empty() && i > 0 && i < len(c.turns)-1 {
			n++
			continue
		}
		kept = append(kept, t)
	}
	if c.turns = kept; n > 0 {
		c.merge()
	}
}

// freshID returns an id of the form that the service takes, different from all others of the request.
func freshID(id string, turn, index int, taken map[string]bool) string {
	s := wire.CleanID(id)
	if s == "" {
		s = "tooluse_" + strconv.Itoa(turn) + "_" + strconv.Itoa(index)
	}
	s = s[:min(len(s), maxToolName)]
	for base, n := s, 2; taken[s]; n++ {
		tail := "_" + strconv.Itoa(n)
		s = base[:min(len(base), maxToolName-len(tail))] + tail
	}
	taken[s] = true
	return s
}

// pictures keeps those of the latest messages, the newest ten; of others a note stays.
func (c *conversion) pictures() {
	left := maxImages
	for i := len(c.turns) - 1; i >= 0; i-- {
		t := &c.turns[i]
		keep := min(len(t.images), left)
		if i < len(c.turns)-recentMessages {
			keep = 0
		}
		left -= keep
		if n := len(t.images) - keep; n > 0 {
			t.texts = append(t.texts, fmt.Sprintf("[%d earlier images are not shown again]", n))
			t.images = t.images[n:]
		}
	}
}

// placeholders declares tools that only the history knows: the service refuses a call of a tool that is not declared.
func (c *conversion) placeholders() {
	known := map[string]bool{}
	for _, s := range c.specs {
		known[s.Spec.Name] = true
	}
	for i := range c.turns {
		for _, u := range c.turns[i].uses {
			if !known[u.name] {
				known[u.name] = true
				c.specs = append(c.specs, specOf(u.name, "Tool: "+u.name, emptySchema))
			}
		}
	}
}

// check is the last look: a request that breaks a rule of the service must not cost a call.
func (c *conversion) check() error {
	broken := func(rule string, at int) error {
		e := apierror.New(apierror.Internal, "Patchbay made a request that Kiro would refuse (%s at message %d); please report it", rule, at)
		return e
	}
	if n := len(c.turns); !c.turns[n-1].user {
		return broken("ENDS_WITH_USER_MESSAGE", n-1)
	}
	declared := map[string]bool{}
	for _, s := range c.specs {
		if declared[s.Spec.Name] {
			return broken("TOOL_DUPLICATE", 0)
		}
		declared[s.Spec.Name] = true
	}
	for i := range c.turns {
		t := &c.turns[i]
		if t.user != (i%2 == 0) {
			return broken("ALTERNATING_MESSAGES", i)
		}
		if len(t.results) > 0 && (i == 0 || !t.user) {
			return broken("TOOL_RESULTS_AND_NO_USES", i)
		}
		if t.user && i > 0 && !sameIDs(c.turns[i-1].uses, t.results) {
			return broken("TOOL_USES_AND_RESULTS", i)
		}
		for _, u := range t.uses {
			if !declared[u.name] || len(u.name) > maxToolName || u.args.Kind() != '{' {
				return broken("TOOL_USE", i)
			}
		}
	}
	return nil
}

func sameIDs(uses []use, results []result) bool {
	return slices.EqualFunc(uses, results, func(u use, r result) bool { return u.id == r.id })
}

// words is the content of a turn as it goes out.
func (c *conversion) words(i int) string {
	t, last := &c.turns[i], i == len(c.turns)-1
	text := t.text()
	if t.thought != "" {
		text = tagOpen + t.thought + tagClose + "\n\n" + text
	}
	switch {
	case strings.TrimSpace(text) != "":
		return text
	case last && len(t.results) > 0:
		return fillResults
	case last:
		return fillContinue
	default:
		return fillBlank
	}
}

// maxShape bounds the shape of a long conversation.
const maxShape = 2000

// shape tells who spoke in which order, how much, and with which tools: what a refusal for form can be understood by.
func (c *conversion) shape() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d bytes, %d tools:", len(c.x.body), len(c.specs))
	for i := range c.turns {
		t := &c.turns[i]
		who := map[bool]string{true: "user", false: "assistant"}[t.user]
		fmt.Fprintf(&b, " %s %d", who, len(t.text()))
		for _, u := range t.uses {
			fmt.Fprintf(&b, " +%s(%s)", u.name, u.id)
		}
		for _, r := range t.results {
			fmt.Fprintf(&b, " =%s(%d)", r.id, len(r.text))
		}
		if n := len(t.images); n > 0 {
			fmt.Fprintf(&b, " %d images", n)
		}
		if b.Len() > maxShape {
			return b.String()[:maxShape] + "..."
		}
	}
	return b.String()
}
