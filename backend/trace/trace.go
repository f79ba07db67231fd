// Package trace holds the words for the way of one request: which rule chose the provider, which accounts were considered in
// which order, and what became of each. Whoever decides something on the way adds a step; nobody reads it to decide.
package trace

import (
	"fmt"
	"slices"
	"time"
)

// What says what a step is about.
type What string

// What there is to tell, in the order in which it may come.
const (
	Asked    What = "asked"    // what the app asked for: Model, Kind is its protocol
	Chosen   What = "rule"     // Rule chose Provider and Model
	Hop      What = "step"     // a further provider of a chain steps in
	Skipped  What = "skipped"  // an account, or a whole step of a chain where Account is empty, was passed over for Kind
	Tried    What = "tried"    // an account was asked and did not answer
	Ready    What = "ready"    // an account would be asked: of a route that is only looked at
	Spare    What = "spare"    // a step of a chain that would come next: of a route that is only looked at
	Answered What = "answered" // an account answered
	Ended    What = "ended"    // nobody answered: what the app was told
	Note     What = "note"     // anything else worth knowing
)

// Rule is why a provider was chosen: the first of these that fits.
type Rule string

// The rules, in their order. Pictures stands outside of it: a request for images that names no model.
const (
	ByPath         Rule = "path"
	ByPrefix       Rule = "prefix"
	ByHeader       Rule = "header"
	ByAlias        Rule = "alias"
	ByDefaultLists Rule = "default_lists" // the default provider lists the model
	ByList         Rule = "lists"         // it lists the model; of several the first by priority
	ByDefault      Rule = "default"       // the default provider, for want of a better one
	ByPictures     Rule = "pictures"
)

// Next says what followed an account that did not answer.
type Next string

// What may follow.
const (
	NextSame     Next = "same_account"
	NextAccount  Next = "next_account"
	NextProvider Next = "next_step"
	NextEnd      Next = "end"
)

// Kinds of a Skipped step, besides the states of an account (needs_login, needs_action, blocked, disabled, discontinued).
const (
	KindResting     = "resting"       // until a time
	KindAbsent      = "absent"        // the account does not have the model, as its service said
	KindNotServed   = "not_served"    // the person said that the account does not serve the model
	KindNoTag       = "no_tag"        // the account lacks a tag that is asked for
	KindPinned      = "pinned"        // of a step: the request asks for an account of another provider
	KindBusy        = "busy"          // at its limit of calls
	KindWasTried    = "was_tried"     // for this very request
	KindNoAccount   = "no_account"    // of a step: its provider has none
	KindOff         = "off"           // of a step: its provider is turned off
	KindUnknown     = "unknown"       // of a step: there is no such provider
	KindForbidden   = "key_forbids"   // of a step: the client key may not use it
	KindLacks       = "lacks"         // of a step: it cannot do what the request needs
	KindNotLarger   = "not_larger"    // of a step: the prompt was too long, and its context is not larger
	KindNoMoreTries = "no_more_tries" // of a step: the limit of attempts was reached
)

// Step is one line of a route. Messages are safe to show.
type Step struct {
	What     What      `json:"what"`
	AtMS     int64     `json:"at_ms"` // since the request came
	Rule     Rule      `json:"rule,omitzero"`
	Provider string    `json:"provider,omitzero"`
	Account  string    `json:"account,omitzero"` // id
	Label    string    `json:"label,omitzero"`   // the account's name then
	Model    string    `json:"model,omitzero"`
	Wire     string    `json:"wire,omitzero"`    // of an account that was asked: in which format
	Kind     string    `json:"kind,omitzero"`    // of the cause
	Message  string    `json:"message,omitzero"` // the cause as a sentence
	Until    time.Time `json:"until,omitzero"`   // when the cause is over, where that is known
	MS       int64     `json:"ms,omitzero"`      // how long the attempt took
	Next     Next      `json:"next,omitzero"`    // what followed an attempt that failed
	Count    int       `json:"count,omitzero"`   // how many accounts a folded step stands for; 0 = it is folded from none
}

// foldAbove is how many accounts may be skipped for the same cause before they become one step.
const foldAbove = 6

// Fold makes one step of accounts that were skipped for the same cause, where they are many. Their order stays; a folded step
// stands where the first of them stood, and is over when the first of them is.
func Fold(skipped []Step) []Step {
	n := map[string]int{}
	for _, s := range skipped {
		n[s.Kind]++
	}
	var out []Step
	at := map[string]int{}
	for _, s := range skipped {
		if n[s.Kind] <= foldAbove {
			out = append(out, s)
			continue
		}
		i, ok := at[s.Kind]
		if !ok {
			i = len(out)
			at[s.Kind] = i
			s.Account, s.Label, s.Count = "", "", 0
			s.Message = fmt.Sprintf("%d accounts skipped: %s", n[s.Kind], words(s.Kind))
			out = append(out, s)
		}
		out[i].Count++
		if u := s.Until; !u.IsZero() && (out[i].Until.IsZero() || u.Before(out[i].Until)) {
			out[i].Until = u
		}
	}
	return out
}

func words(kind string) string {
	switch kind {
	case KindResting:
		return "resting"
	case KindAbsent:
		return "they do not have the model"
	case KindNotServed:
		return "their settings leave the model out"
	case KindBusy:
		return "at their limit of calls"
	case "disabled":
		return "switched off"
	case "needs_login":
		return "they need a new sign-in"
	case "needs_action":
		return "they need something of you"
	default:
		return kind
	}
}

// maxSteps bounds a log: attempts are bounded by a setting that goes up to a hundred.
const maxSteps = 160

// Log collects the steps of one request. The zero value is not ready: use New. It is not safe for concurrent use.
type Log struct {
	begun time.Time
	steps []Step
	more  int // steps that there was no room for
}

// New returns a log of a request that came at begun.
func New(begun time.Time) Log { return Log{begun: begun} }

// Add notes steps, which happened now.
func (l *Log) Add(steps ...Step) {
	at := time.Since(l.begun).Milliseconds()
	for _, s := range steps {
		if len(l.steps) >= maxSteps {
			l.more++
			continue
		}
		s.AtMS = at
		l.steps = append(l.steps, s)
	}
}

// Note notes a remark once.
func (l *Log) Note(kind, message string) {
	if !slices.ContainsFunc(l.steps, func(s Step) bool { return s.What == Note && s.Message == message }) {
		l.Add(Step{What: Note, Kind: kind, Message: message})
	}
}

// Steps returns what was noted, each attempt that failed with what followed it.
func (l *Log) Steps() []Step {
	out := slices.Clone(l.steps)
	for i := range out {
		if out[i].What == Tried {
			out[i].Next = next(&out[i], out[i+1:])
		}
	}
	if l.more > 0 {
		out = append(out, Step{What: Note, AtMS: time.Since(l.begun).Milliseconds(), Message: fmt.Sprintf("and %d further steps", l.more)})
	}
	return out
}

func next(tried *Step, later []Step) Next {
	for i := range later {
		s := &later[i]
		switch s.What {
		case Hop:
			return NextProvider
		case Tried, Answered:
			if s.Provider == tried.Provider && s.Account == tried.Account {
				return NextSame
			}
			return NextAccount
		}
	}
	return NextEnd
}
