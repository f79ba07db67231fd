package chaos

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"patchbay/backend/account"
	"patchbay/backend/record"
)

// couldServe tells whether some account could have served a request, from the script: it was fine for as long as the request
// ran. With rules, an account that owes its
// service a pause, or that was at its limit of calls, could not.
func (w *world) couldServe(r *request, until time.Time, rules bool) (by string, ok bool) {
	for _, id := range w.plan(r.provider) {
		for _, a := range w.accounts {
			if a.provider == id && w.accountCould(r, a, until, rules) {
				return a.name, true
			}
		}
	}
	return "", false
}

func (w *world) accountCould(r *request, a *acct, until time.Time, rules bool) bool {
	if a.id == "" || a.added.After(r.at) || a.troubled(r.at, until) {
		return false
	}
	if t := w.noise(r, a, 0); t != fine && (t.final() || t.afterContent() && r.stream || w.noise(r, a, 1) != fine) {
		return false
	}
	if !rules {
		return true
	}
	for _, p := range a.rests {
		if p.from.Before(until) && r.at.Before(p.upper) {
			return false
		}
	}
	return !a.lost && !r.busy[a]
}

// ends are what ends a stream in each protocol; exactly one of them must come.
var ends = map[string][]string{
	"openai":    {"data: [DONE]", `data: {"error"`},
	"anthropic": {"event: message_stop", "event: error"},
	"responses": {"event: response.completed", "event: response.incomplete", "event: response.failed", "event: error"},
	"gemini":    {`"finishReason"`, `data: {"error"`},
	"ollama":    {`"done":true`, `{"error"`},
}

// finish judges how a request ended.
func (w *world) finish(b *bay, r *request) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	r.ended = true
	delete(w.requests, r.id)
	f := &w.figures
	f.requests++
	s := r.sink
	if bytes.Contains(s.body, []byte(canary)) || headHolds(s.head, canary) {
		w.violate(r, &f.leaks, "the answer holds a secret")
	}
	stream := strings.Contains(s.head.Get("Content-Type"), "stream") || strings.Contains(s.head.Get("Content-Type"), "ndjson")
	failed := s.status != http.StatusOK
	ended := 0
	for i, end := range ends[r.protocol] {
		n := bytes.Count(s.body, []byte(end))
		ended += n
		failed = failed || n > 0 && (strings.Contains(end, "error") || strings.Contains(end, "failed")) && (stream || i > 0)
	}
	ok := !failed && bytes.Contains(s.body, []byte(r.id)) && bytes.Contains(s.body, []byte("omega"))
	stopped := b.base.Err() != nil
	if id := s.head.Get("X-Patchbay-Request-Id"); id == "" {
		w.violate(r, &f.lost, "the answer names no request id")
	} else if !stopped || !b.killed {
		w.rows[id] = ok
	}
	switch {
	case s.gone.Load():
		f.hungUp++
		return
	case s.status == 0:
		w.violate(r, &f.terminals, "the request got no answer")
	case stream && ended != 1:
		w.violate(r, &f.terminals, "the stream has %d ends", ended)
	}
	late := false
	for _, c := range r.calls {
		late = late || c.verdict.afterContent() && r.stream && s.begun
	}
	f.longest = max(f.longest, now.Sub(r.at))
	switch {
	case stopped && !ok:
		f.cutByRestart++
	case r.fault != fine:
		w.ownFault(r, ok, failed)
	case late && !ok:
		f.late++
	default:
		w.weigh(r, ok, now)
	}
}

// ownFault checks the end of a request that nobody could serve: the client hears of its fault, unless it is worth waiting for
// another provider, whose context may be larger.
func (w *world) ownFault(r *request, ok, failed bool) {
	w.figures.own++
	for i, c := range r.calls {
		wait := r.mends(i, "") || r.fault == tooLong && slices.ContainsFunc(w.plan(r.provider), func(id string) bool { return id != c.account.provider })
		if c.verdict.ofRequest() && r.sink.status != http.StatusBadRequest && !wait && !(r.sink.status == http.StatusOK && failed) {
			w.violate(r, &w.figures.others, "a request that was refused for its own fault got status %d", r.sink.status)
		}
	}
	if ok {
		w.violate(r, &w.figures.others, "a request that nobody could serve was served")
	}
}

// weigh counts a request that is nobody's fault.
func (w *world) weigh(r *request, ok bool, now time.Time) {
	f := &w.figures
	if ok {
		f.served++
		if len(r.calls) > 1 {
			f.hops++
		}
	}
	if _, could := w.couldServe(r, now, false); could {
		f.byScript++
		if ok {
			f.servedByScript++
		}
	}
	by, could := w.couldServe(r, now, true)
	if !could {
		return
	}
	f.servable++
	if ok {
		f.servedServable++
		return
	}
	w.violate(r, &f.missed, "not served, although %s could have for all of %s", by, now.Sub(r.at))
}

// checkRows compares the request log with what the clients got: nothing is lost, and nothing is there twice.
func (w *world) checkRows(log map[string]record.Row) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, ok := range w.rows {
		row, there := log[id]
		switch {
		case !there:
			w.violate(nil, &w.figures.lost, "the row of %s is lost", id)
		case ok && (row.Status != http.StatusOK || row.Kind != ""):
			w.violate(nil, &w.figures.lost, "the row of %s says %d %s, and its client got an answer", id, row.Status, row.Kind)
		case strings.Contains(fmt.Sprint(row), canary):
			w.violate(nil, &w.figures.leaks, "the row of %s holds a secret", id)
		}
	}
}

func headHolds(h http.Header, text string) bool {
	for _, values := range h {
		for _, v := range values {
			if strings.Contains(v, text) {
				return true
			}
		}
	}
	return false
}

// audit compares Patchbay's idea of health with what the accounts were told: what they were not told is a penalty that they
// do not deserve.
func (w *world) audit(b *bay) {
	list := b.accounts.List()
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range list {
		s := &list[i]
		var a *acct
		for _, one := range w.accounts {
			if one.id == s.ID {
				a = one
			}
		}
		if a == nil {
			w.violate(nil, &w.figures.lost, "an account that nobody added: %s", s.Name)
			continue
		}
		if strings.Contains(s.Reason, canary) {
			w.violate(nil, &w.figures.leaks, "the reason of %s holds a secret: %s", a.name, s.Reason)
		}
		for _, c := range s.Cooling {
			if !a.owes(now, c.Until) {
				w.violate(nil, &w.figures.penalties, "%s rests for %s until %s, which it was not told: %s (owes %v, faults %v)", a.name, c.Model,
					c.Until.Sub(w.begin), c.Reason, a.debts(w.begin, now), a.faults)
			}
		}
		if s.State != account.Ready && s.State != account.Cooling && s.State != account.Disabled && !a.lost && !a.refusedTwice() {
			w.violate(nil, &w.figures.penalties, "%s is %s, which it was not told: %s (refusals %d)", a.name, s.State, s.Reason, len(a.refused))
		}
		if s.State == account.Disabled && !a.off {
			w.violate(nil, &w.figures.penalties, "%s is switched off, and nobody did that", a.name)
		}
	}
}

// owes tells whether the rules have the account rest until then.
func (a *acct) owes(now, until time.Time) bool {
	for _, p := range a.rests {
		if !p.upper.Before(until) {
			return true
		}
	}
	return !until.After(now.Add(ruleFault)) && a.faultsBefore(now) >= ruleFaults
}

func (a *acct) debts(begin, now time.Time) (out []time.Duration) {
	for _, p := range a.rests {
		if now.Before(p.upper) {
			out = append(out, p.upper.Sub(begin))
		}
	}
	return out
}

// refusedTwice tells whether the account was refused again after it had heard of a refusal. Calls side by side are one.
func (a *acct) refusedTwice() bool {
	for _, first := range a.refused {
		for _, second := range a.refused {
			if second.from.After(first.to) {
				return true
			}
		}
	}
	return false
}
