package account

import (
	"cmp"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/events"
	"patchbay/backend/provider"
)

// allModels is the scope of a pause of the whole account.
const allModels = "*"

// How long an account rests. The first two bind a service's own wish and our growing pauses.
const (
	longestWish   = 24 * time.Hour
	longestPause  = 30 * time.Minute
	quotaPause    = time.Hour // a quota whose reset time is not known
	creditPause   = 30 * time.Minute
	refusedPause  = 30 * time.Minute
	refusedWithin = 10 * time.Minute // two refusals of a key in this time, and a person must look
	absentPause   = time.Hour
	faultPause    = 30 * time.Second
	faultsInARow  = 3
	modelPause    = 15 * time.Second
)

// maxPauses bounds what one account remembers: clients may ask for any number of models that do not exist.
const maxPauses = 256

type cooldown struct {
	until  time.Time
	kind   string // as Status.Kind
	reason string
	since  time.Time
	level  int // how many pauses in a row, so that the next one is longer
	absent bool
	held   bool // a call waits it out with the account in hand; see Lease.Hold
}

// rests reports whether a pause keeps the account from serving model now. The caller holds the lock.
func (e *entry) rests(model string, now time.Time) bool {
	return !e.words.serve(model) || e.pause(model, now) != nil
}

// pause returns the rest that keeps the account from serving model now, the longest of several, or nil. The caller holds
// the lock.
func (e *entry) pause(model string, now time.Time) *cooldown { return e.longest(model, now, true) }

// longest is pause with those that calls wait out, or without.
func (e *entry) longest(model string, now time.Time, held bool) *cooldown {
	var found *cooldown
	longer := func(c *cooldown) {
		if c != nil && c.until.After(now) && (held || !c.held) && (found == nil || c.until.After(found.until)) {
			found = c
		}
	}
	longer(e.cool[allModels])
	longer(e.cool[model])
	if e.patterns > 0 {
		for scope, c := range e.cool {
			if isPattern(scope) && matches(scope, model) {
				longer(c)
			}
		}
	}
	return found
}

func (e *entry) setCool(scope string, c cooldown) {
	now := time.Now()
	if e.cool == nil {
		e.cool = map[string]*cooldown{}
	}
	if len(e.cool) >= maxPauses {
		e.dropPauses()
	}
	c.until = c.until.Round(0) // by the wall clock: the other one may stand still while the machine sleeps
	if old := e.cool[scope]; old != nil && old.until.After(now) && !old.since.IsZero() {
		c.since = old.since // it goes on
	} else if c.since.IsZero() {
		c.since = now
	}
	e.cool[scope] = &c
	e.coolChanged(now)
}

// coolChanged is called when pauses came or went.
func (e *entry) coolChanged(now time.Time) {
	e.countPatterns()
	e.refresh(now)
}

// dropPauses makes room: what is over goes, then marks of absent models.
func (e *entry) dropPauses() {
	now := time.Now()
	for scope, c := range e.cool {
		if !c.until.After(now) || c.absent {
			delete(e.cool, scope)
		}
	}
}

func (e *entry) countPatterns() {
	e.patterns = 0
	for scope := range e.cool {
		if isPattern(scope) {
			e.patterns++
		}
	}
}

func isPattern(scope string) bool {
	return scope != allModels && (strings.ContainsAny(scope, "*,") || strings.HasPrefix(scope, markNot) || strings.HasPrefix(scope, markOnly))
}

// matches reports whether a model is meant by a list of patterns such as "gemini-3*,gemini-2.5-pro".
func matches(scope, model string) bool {
	if list, ok := strings.CutPrefix(scope, markOnly); ok {
		return model != "" && !matches(list, model)
	}
	scope = strings.TrimPrefix(scope, markNot)
	for pattern := range strings.SplitSeq(scope, ",") {
		if canon.Matches(strings.TrimSpace(pattern), model) {
			return true
		}
	}
	return false
}

// Release gives the account back. A nil err clears its failure counts; otherwise the policy of the error's kind decides
// whether the account rests, needs a new login or is not to blame.
func (l *Lease) Release(err error) {
	if l.release(err) && err != nil { // outside of the lock: a log may be slow
		l.pools.needs.Log.Info("Account health changed", "account", l.id, "model", l.model, "kind", apierror.KindOf(err).String())
	}
}

// release reports whether the account's health changed.
func (l *Lease) release(err error) (changed bool) {
	p, e, now := l.pools, l.entry, time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.released {
		return false
	}
	l.released = true
	l.letGo(now)
	e.lastUsed = now
	e.addCall(-1)
	e.pool.wake()
	usable := e.usable()
	if err == nil {
		changed = e.succeeded(l.model, now)
	} else {
		changed = p.failed(e, l, apierror.From(err), now)
	}
	p.noteUse(e, err, now)
	if !changed {
		return false
	}
	p.changed(l.id)
	if usable && !e.usable() { // told once, not for each call that was under way
		p.needs.Bus.Publish(events.Notice, l.id, e.row.Name+": "+e.reason)
	}
	return true
}

// succeeded forgets what went wrong before. A pause that still runs stays: it was set by a call that ended while this one
// ran. It reports whether there is something to write.
func (e *entry) succeeded(model string, now time.Time) bool {
	e.faults, e.refused, e.lastFault = 0, 0, ""
	changed := false
	for scope, c := range e.cool {
		if !c.until.After(now) && (scope == allModels || scope == model || isPattern(scope) && matches(scope, model)) {
			delete(e.cool, scope)
			changed = true
		}
	}
	if changed {
		e.coolChanged(now)
	}
	return changed
}

// failed applies the policy and reports whether there is something to write. The caller holds the lock.
func (p *Pools) failed(e *entry, l *Lease, err *apierror.Error, now time.Time) (changed bool) {
	policy := apierror.PolicyOf(err.Kind)
	why := reasonOf(e, err)
	if policy.NextAccount != apierror.Never {
		e.lastFault = why
	}
	switch policy.Effect {
	case apierror.CoolDown:
		e.coolDown(cmp.Or(err.Scope, l.model, allModels), err, why, now)
	case apierror.CoolAll:
		e.rest(allModels, cmp.Or(min(err.RetryAfter, longestWish), creditPause), err.Kind.String(), why, now)
	case apierror.Absent:
		e.setCool(l.model, cooldown{until: now.Add(absentPause), kind: err.Kind.String(), reason: why, absent: true})
	case apierror.NeedsLogin:
		return p.refusedBy(e, l, err, why, now)
	case apierror.Blocked:
		if l.gen != e.generation {
			return false // it was another login
		}
		if err.RetryAfter > 0 && err.Action == "" {
			e.rest(allModels, min(err.RetryAfter, longestWish), err.Kind.String(), why, now)
			return true
		}
		e.setBlocked(err, why)
	case apierror.CountUp:
		return e.faulted(err.Kind.String(), why, now)
	case apierror.ModelRests:
		p.restModel(modelKey{e.row.Provider, l.model}, now)
		return false
	default:
		return false
	}
	return true
}

// reasonOf returns the error's message as it stands behind an account's name.
func reasonOf(e *entry, err *apierror.Error) string {
	text := strings.TrimPrefix(err.Msg, e.row.Provider+": ")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "..."
	}
	return text
}

// coolDown rests the scope for as long as the service asked, else for growing pauses.
func (e *entry) coolDown(scope string, err *apierror.Error, why string, now time.Time) {
	var old cooldown
	if c := e.cool[scope]; c != nil {
		old = *c
	}
	if old.until.After(now) && !old.absent && !old.held {
		// Calls that ran side by side fail together: they are one failure, and the later time counts.
		if until := now.Add(min(err.RetryAfter, longestWish)); until.After(old.until) {
			old.until, old.kind, old.reason = until, err.Kind.String(), why
			e.setCool(scope, old)
		}
		return
	}
	level := old.level + 1
	wait := pauseOf(level, err.RetryAfter)
	if err.Kind == apierror.QuotaExhausted && err.RetryAfter <= 0 {
		wait = quotaPause
	}
	until := now.Add(wait)
	if old.held && old.until.After(until) {
		until = old.until
	}
	e.setCool(scope, cooldown{until: until, kind: err.Kind.String(), reason: why, level: level})
}

// rest pauses a scope for a fixed time; a pause that lasts longer stays.
func (e *entry) rest(scope string, d time.Duration, kind, why string, now time.Time) {
	until, level := now.Add(d), 0
	if old := e.cool[scope]; old != nil {
		if old.until.After(until) {
			return
		}
		level = old.level
	}
	e.setCool(scope, cooldown{until: until, kind: kind, reason: why, level: level})
}

// pauseOf returns how long an account rests after its n-th refusal in a row.
//
// The service's own wish wins. Without one the pause doubles from a second and stops at half an hour: past that, a person
// looks at the account anyway. Up to a quarter of it is taken off by chance, so that accounts do not come back together.
func pauseOf(n int, wish time.Duration) time.Duration {
	if wish > 0 {
		return min(wish, longestWish)
	}
	d := min(time.Second<<min(n-1, 11), longestPause)
	return d - rand.N(d/4)
}

// refusedBy notes that the service refused the login. A login that could be refreshed was, so its refusal is final; a
// bare key gets a second chance, because services are known to refuse good keys for a moment. Where the service has ended,
// a sign-in would not help.
func (p *Pools) refusedBy(e *entry, l *Lease, err *apierror.Error, why string, now time.Time) bool {
	if l.gen != e.generation {
		return false // it was another login
	}
	if info := p.info(e.row.Provider); info.Status == provider.StatusDiscontinued {
		e.setState(Discontinued, KindServiceEnd, withHint(why, cmp.Or(info.Instead, "the service has ended")))
		return true
	}
	if e.renews {
		e.setState(NeedsLogin, err.Kind.String(), withHint(why, "sign in again"))
		return true
	}
	if e.refused > 0 && l.begun.Before(e.refusedAt) {
		return false // calls that ran side by side were refused together: they are one refusal
	}
	if now.Sub(e.refusedAt) > refusedWithin {
		e.refused = 0
	}
	e.refused++
	e.refusedAt = now
	if e.refused >= 2 {
		e.setState(NeedsLogin, err.Kind.String(), withHint(why, "the service refuses this key: enter a new one"))
		return true
	}
	e.rest(cmp.Or(l.model, allModels), refusedPause, err.Kind.String(), why, now)
	return true
}

func withHint(why, hint string) string {
	if why == "" || strings.Contains(strings.ToLower(why), strings.ToLower(hint)) {
		return cmp.Or(why, hint)
	}
	return why + "; " + hint
}

// faulted counts a failure of the service or the line; the third in a row rests the account.
func (e *entry) faulted(kind, why string, now time.Time) bool {
	e.faults++
	if e.faults < faultsInARow {
		return false
	}
	e.faults = 0
	e.rest(allModels, faultPause, kind, why, now)
	return true
}

func (e *entry) setState(s State, kind, reason string) {
	if s != e.state || e.since.IsZero() {
		e.since = time.Now()
	}
	e.state, e.kind, e.reason, e.link = s, kind, reason, ""
	if e.pool != nil {
		e.pool.changes++
	}
	e.settle()
}

// setBlocked notes that the service shut the account: for good, or until a person did something there.
func (e *entry) setBlocked(err *apierror.Error, why string) {
	if err.Action == "" {
		e.setState(Blocked, err.Kind.String(), why)
	} else {
		e.setState(NeedsAction, err.Kind.String(), withHint(why, err.Action))
	}
	e.link = safeLink(err.Link)
}

// safeLink keeps addresses that a browser may open: they come from services.
func safeLink(link string) string {
	u, err := url.Parse(link)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || len(link) > 2048 {
		return ""
	}
	return link
}

func (p *Pools) restModel(key modelKey, now time.Time) {
	for k, until := range p.rests { // there are seldom more than a few
		if !until.After(now) {
			delete(p.rests, k)
		}
	}
	p.rests[key] = now.Add(modelPause)
}

// Clear ends the pauses of an account: those of one model, or with model "" all of them and whatever else keeps the
// account from being used. A person asks for it.
func (p *Pools) Clear(id, model string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, ok := p.entries[id]
	if !ok {
		return gone(id)
	}
	if model != "" {
		for scope, c := range e.cool {
			if scope == model || isPattern(scope) && matches(scope, model) {
				e.pardon(c)
				delete(e.cool, scope)
			}
		}
		delete(p.rests, modelKey{e.row.Provider, model})
	} else {
		for _, c := range e.cool {
			e.pardon(c)
		}
		e.cool, e.faults, e.refused, e.lastFault = nil, 0, 0, ""
		e.setState(Ready, "", "")
		for k := range p.rests {
			if k.provider == e.row.Provider {
				delete(p.rests, k)
			}
		}
	}
	e.coolChanged(time.Now())
	e.pool.wake()
	p.changed(id)
	return nil
}

// pardon remembers that a person wants to use what was kept back of an allowance, until it is filled up.
func (e *entry) pardon(c *cooldown) {
	if c.kind == KindReserve && c.until.After(e.unreserved) {
		e.unreserved = c.until
	}
}
