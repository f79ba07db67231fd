package chaos

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/provider/anthropiccompat"
	"patchbay/backend/provider/codex"
	"patchbay/backend/provider/geminiapi"
	"patchbay/backend/provider/ollamaapi"
	"patchbay/backend/provider/openaicompat"
	"patchbay/backend/route"
	"patchbay/backend/simulator"
)

// service is a provider with its simulated upstream.
type service struct {
	driver   provider.Driver
	model    string
	path     string // below the host, which tells the account
	settings map[string]string
}

const (
	loginHost = "login.sim.test"
	canary    = "canary" // stands in every secret
)

var services = map[string]service{
	"openai":    {openaicompat.Driver{}, "m-one", "/openai/v1", map[string]string{provider.SettingQuirks: "own_host"}},
	"anthropic": {anthropiccompat.Driver{}, "m-one", "/anthropic", nil},
	"gemini":    {geminiapi.Driver{}, "m-one", "/gemini", nil},
	"compat": {openaicompat.New(provider.Info{ID: "compat", Name: "Compat", Wire: "openai", Status: provider.StatusActive, NoKey: true}), "m-one",
		"/compatible/v1", nil},
	"home-ollama": {ollamaapi.New(provider.Info{ID: "home-ollama", Name: "Home", Wire: "ollama", Status: provider.StatusActive, NoKey: true}), "qwen3:8b",
		"/ollama", nil},
	"openai-responses": {openaicompat.Responses{}, "m-one", "/responses/v1", map[string]string{provider.SettingQuirks: "own_host"}},
	"codex":            {codex.Driver{}, "gpt-5.5", "/codex/backend-api/codex", map[string]string{provider.SettingLoginURL: "http://" + loginHost + "/codex"}},
}

// trouble is what may be wrong with an account, or with one call.
type trouble string

// Troubles of accounts, which last for a while.
const (
	fine         trouble = ""
	limitTold    trouble = "429 with Retry-After"
	limitInBody  trouble = "429 with the time in the body"
	limitSilent  trouble = "429 without a time"
	refusedKey   trouble = "401 until a person mends it"
	refusedShort trouble = "401 for a moment"
	staleToken   trouble = "401, a refresh helps"
	revoked      trouble = "401, and the refresh is refused"
	forbidden    trouble = "403 until a person mends it"
	unpaid       trouble = "402 until a person mends it"
	noModel      trouble = "404 for the model"
	outage       trouble = "5xx and cuts"
	overloaded   trouble = "503"
	stalled      trouble = "no first byte"
	proxyDead    trouble = "a dead proxy"
	switchedOff  trouble = "switched off"
)

// Troubles of one call.
const (
	cutBefore   trouble = "cut before the head"
	cutEarly    trouble = "cut before the content"
	cutLate     trouble = "cut after the first content"
	silentEarly trouble = "silence before the content"
	silentLate  trouble = "silence after the first content"
	errorEarly  trouble = "an error in the stream before the content"
	errorLate   trouble = "an error in the stream after the first content"
	serverError trouble = "500"
	htmlPage    trouble = "502 with HTML"
	hollow      trouble = "200 without a body"
	ownFault    trouble = "400 for the request"
	tooLong     trouble = "400, the prompt is too long"
)

// afterContent tells troubles that come too late for a retry, if the client gets a stream.
func (t trouble) afterContent() bool { return t == cutLate || t == silentLate || t == errorLate }

// final tells troubles after which the rules ask the same account no more for this request.
func (t trouble) final() bool { return t == silentEarly || t == silentLate }

// ofRequest tells troubles that no account would have been spared.
func (t trouble) ofRequest() bool { return t == ownFault || t == tooLong }

// faults tells what counts against an account as a failure of its service or line.
func (t trouble) faults() bool {
	switch t {
	case outage, stalled, proxyDead, cutBefore, cutEarly, cutLate, silentEarly, silentLate, errorEarly, errorLate, serverError, htmlPage, hollow:
		return true
	default:
		return false
	}
}

// episode is a trouble with its time.
type episode struct {
	kind       trouble
	start, end time.Time
}

func (e episode) overlaps(from, to time.Time) bool { return e.start.Before(to) && from.Before(e.end) }

// rest is a pause that an account owes its service by the rules: nothing may be asked of it before lower, and nobody can
// blame Patchbay for leaving it alone until upper.
type rest struct{ from, lower, upper time.Time }

// acct is one account with what the script holds for it and what it was told. Guarded by world.mu but for the script.
type acct struct {
	name, provider, proxy string
	limit                 int
	script                []episode // in order, not overlapping; fixed before the run
	person                []personal

	id       string
	added    time.Time
	key      string // as it is now
	keys     int
	refresh  string
	stale    map[string]bool // access tokens that the service takes no more
	off      bool
	inflight int
	rests    []rest
	least    int // bounds of the number of refusals in a row that Patchbay has counted
	most     int
	faults   []time.Time
	refused  []span // calls that were answered 401
	lost     bool   // it was told something that only a person mends
	over     *call  // it came while the account was at its limit
	heard    []string
}

// span is a call: when it was sent and answered.
type span struct{ from, to time.Time }

// personal is something that a person does, or that happens at once.
type personal struct {
	at time.Time
	do string // "add", "off", "on", "mend", "stale"
}

func (a *acct) host() string { return a.name + ".sim.test" }

// at returns what is wrong with the account at an instant.
func (a *acct) at(now time.Time) episode {
	i, found := slices.BinarySearchFunc(a.script, now, func(e episode, t time.Time) int { return e.start.Compare(t) })
	if !found {
		i--
	}
	if i >= 0 && now.Before(a.script[i].end) {
		return a.script[i]
	}
	return episode{}
}

func (a *acct) troubled(from, to time.Time) bool {
	i, _ := slices.BinarySearchFunc(a.script, from, func(e episode, t time.Time) int { return e.end.Compare(t) })
	for ; i < len(a.script) && a.script[i].start.Before(to); i++ {
		if a.script[i].overlaps(from, to) {
			return true
		}
	}
	return false
}

// world is the script, the simulated services, and the oracle. It knows nothing of Patchbay's own idea of health.
type world struct {
	seed     uint64
	services http.Handler
	sim      *simulator.Server
	log      *logs
	chains   map[string][]string
	accounts []*acct
	begin    time.Time

	mu       sync.Mutex // guards what follows, and the accounts
	byHost   map[string]*acct
	requests map[string]*request
	bad      []violation
	rows     map[string]bool // request ids that must stand in the log, and whether they were served
	figures  figures
}

// request is one request of a client.
type request struct {
	n        int
	id       string // "r000017x"
	provider string // that its path names
	protocol string
	stream   bool
	fault    trouble // its own
	hangUp   time.Duration
	at       time.Time
	sink     *sink
	calls    []*call
	busy     map[*acct]bool // accounts at their limit when it came
	ended    bool
}

// mends reports whether a driver mended the request after the i-th call: Ollama's asks once for a larger context. What the
// mended call meets decides what comes next. now is the provider that is asked now, "" if none is.
func (r *request) mends(i int, now string) bool {
	own := func(c *call) bool { return c.account.provider == "home-ollama" }
	long := func(c *call) bool { return c.verdict == tooLong }
	return long(r.calls[i]) && own(r.calls[i]) && !slices.ContainsFunc(r.calls[:i], long) && (now == "home-ollama" || slices.ContainsFunc(r.calls[i+1:], own))
}

func (r *request) asks() string { return "Say " + r.id + "." }

// call is one call of an account for a request.
type call struct {
	at       time.Time
	account  *acct
	req      *request
	verdict  trouble
	latency  time.Duration
	wait     time.Duration // that is told
	scenario string
	status   int    // of answer
	answer   string // in place of the simulated service's
	token    string
	path     string
}

// figures are what the table shows.
type figures struct {
	requests, calls, served, servable, servedServable, byScript, servedByScript int
	late, own, hungUp, cutByRestart, hops, restarts, kills                      int
	penalties, afterContent, resting, terminals, lost, leaks, others, missed    int
	longest, spent                                                              time.Duration
}

func newWorld(seed uint64, lg *logs) *world {
	w := &world{seed: seed, log: lg, byHost: map[string]*acct{}, requests: map[string]*request{}, rows: map[string]bool{}}
	w.sim = simulator.New(simulator.Options{Models: []string{"m-one"}, Keep: 1})
	w.services = w.sim.Handler()
	return w
}

func (w *world) driver(id string) (provider.Driver, map[string]string, error) {
	s, ok := services[id]
	if !ok {
		return nil, nil, fmt.Errorf("no provider %q", id)
	}
	settings := maps.Clone(s.settings)
	if settings == nil {
		settings = map[string]string{}
	}
	settings[provider.SettingIdle] = idle.String()
	return s.driver, settings, nil
}

func (w *world) routed() []route.Provider {
	var out []route.Provider
	for id, s := range services {
		out = append(out, route.Provider{ID: id, Name: id, Wire: s.driver.Info().Wire, Priority: 100, Enabled: true})
	}
	slices.SortFunc(out, func(a, b route.Provider) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

func (w *world) models(id string) []canon.Model {
	return []canon.Model{{ID: services[id].model, Provider: id, Tools: canon.Yes, Images: canon.Yes}}
}

// plan returns where a request for a provider may go, as the chains say.
func (w *world) plan(first string) []string {
	out := []string{first}
	for i := 0; i < len(out); i++ {
		for _, next := range w.chains[out[i]] {
			if id, _, _ := strings.Cut(next, "/"); !slices.Contains(out, id) {
				out = append(out, id)
			}
		}
	}
	return out
}

// dice returns random numbers that depend on the seed and the names alone, whatever order things happen in.
func (w *world) dice(names ...any) *rand.Rand {
	h := w.seed
	for _, b := range []byte(fmt.Sprint(names...)) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return rand.New(rand.NewPCG(h, h>>7|1))
}

// noise is what goes wrong with the n-th call of an account for a request, whatever else holds.
func (w *world) noise(r *request, a *acct, n int) trouble {
	d := w.dice("noise ", r.id, " ", a.name, " ", n)
	if d.Float64() > 0.05 {
		return fine
	}
	all := []trouble{cutBefore, cutEarly, cutLate, silentEarly, silentLate, errorEarly, errorLate, serverError, htmlPage, hollow, overloaded}
	return all[d.IntN(len(all))]
}

var asked = regexp.MustCompile(`Say (r[0-9]+x)\.`)

// arrive decides what happens to a call, and checks that it may have been made at all.
func (w *world) arrive(proxy string, r *http.Request, body []byte) *call {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.byHost[r.URL.Hostname()]
	m := asked.FindSubmatch(body)
	if a == nil || m == nil {
		w.violate(nil, &w.figures.others, "a call to nobody: %s %s", r.Method, r.URL)
		return &call{req: &request{}, account: &acct{}, verdict: proxyDead}
	}
	req := w.requests[string(m[1])]
	c := &call{at: now, account: a, req: req, token: bearer(r), path: r.URL.Path}
	n := 0
	for i, old := range req.calls {
		if old.account == a {
			n++
		}
		if old.verdict.ofRequest() && !req.mends(i, a.provider) && !old.at.Equal(now) {
			w.violate(req, &w.figures.others, "%s was asked after the request was refused for its own fault", a.name)
		}
	}
	req.calls = append(req.calls, c)
	w.figures.calls++
	a.inflight++
	w.inspect(c, proxy)
	c.verdict = w.judge(c, n)
	w.stage(c)
	return c
}

// bearer returns what a call is made with.
func bearer(r *http.Request) string {
	for _, name := range []string{"X-Api-Key", "X-Goog-Api-Key"} {
		if k := r.Header.Get(name); k != "" {
			return k
		}
	}
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
}

// inspect reports what no call may do.
func (w *world) inspect(c *call, proxy string) {
	a, req := c.account, c.req
	switch {
	case req.ended:
		w.violate(req, &w.figures.others, "%s was asked after the request had ended", a.name)
	case req.sink.hasBegun():
		w.violate(req, &w.figures.afterContent, "%s was asked after the first content had gone out", a.name)
	}
	if proxy != a.proxy {
		w.violate(req, &w.figures.others, "%s was reached by %q and not by its proxy", a.name, proxy)
	}
	if a.refresh == "" && a.key != c.token && a.provider != "home-ollama" && !a.off && a.keys < 2 {
		w.violate(req, &w.figures.others, "%s was called with another key", a.name)
	}
	if a.over != nil && a.over.at.Before(c.at) {
		w.violate(a.over.req, &w.figures.others, "%s had more than %d calls at once", a.name, a.limit)
		a.over = nil
	}
	if a.limit > 0 && a.inflight > a.limit {
		a.over = c // unless another call ends at this very instant
	}
	if a.off {
		w.violate(req, &w.figures.resting, "%s was asked while it was switched off", a.name)
	}
	for _, p := range a.rests {
		if c.at.Before(p.lower) {
			w.violate(req, &w.figures.resting, "%s was asked %s before its pause of %s was over; it heard %s", a.name, p.lower.Sub(c.at), p.lower.Sub(p.from), strings.Join(a.heard, "; "))
			break
		}
	}
}

// judge returns what a call meets.
func (w *world) judge(c *call, n int) trouble {
	switch e := c.account.at(c.at); {
	case e.kind == switchedOff:
	case e.kind != fine:
		return e.kind
	}
	if c.account.stale[c.token] {
		return staleToken
	}
	if c.req.fault != fine {
		return c.req.fault
	}
	return w.noise(c.req, c.account, n)
}

// stage says how the simulated service plays the verdict.
func (w *world) stage(c *call) {
	a, d := c.account, w.dice("latency ", c.req.id, c.account.name, len(c.req.calls))
	c.latency = time.Duration(100+d.IntN(1500)) * time.Millisecond
	first := ",first_byte=" + c.latency.String()
	say := "text=alpha " + c.req.id + " omega" + first + ",delay=100ms"
	until := a.at(c.at).end
	c.wait = max(until.Sub(c.at.Add(c.latency)).Truncate(time.Second)+time.Second, time.Second)
	seconds := strconv.Itoa(int(c.wait / time.Second))
	switch c.verdict {
	case fine, switchedOff:
		c.scenario = "text:" + say
	case limitTold:
		c.scenario = "rate_limit:retry_after=" + seconds + first
	case limitInBody:
		c.status = http.StatusTooManyRequests
		switch a.provider {
		case "gemini":
			c.answer = `{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"` + seconds + `s"}]}}`
		case "codex":
			c.answer = `{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached","plan_type":"plus","resets_in_seconds":` + seconds + `}}`
		case "openai", "compat", "openai-responses":
			c.answer = `{"error":{"message":"Rate limit reached for m-one. Please try again in ` + seconds + `s.","type":"requests","param":null,"code":"rate_limit_exceeded"}}`
		default:
			c.status, c.scenario = 0, "rate_limit:retry_after="+seconds+first
		}
	case limitSilent:
		c.scenario = "rate_limit_no_time:x=y" + first
	case refusedKey, refusedShort, staleToken, revoked:
		c.scenario = "unauthorized:x=y" + first
	case forbidden:
		c.scenario = "forbidden:x=y" + first
	case unpaid:
		c.scenario = "billing:x=y" + first
	case noModel:
		c.scenario = "not_found:x=y" + first
	case outage:
		c.scenario = []string{"server_error:x=y", "server_error:status=502", "html:x=y", "cut_before:x=y", "empty_200:x=y"}[d.IntN(5)] + first
	case overloaded:
		c.scenario = "overload:x=y" + first
	case stalled:
		c.scenario = "first_byte:delay=20m"
	case cutBefore:
		c.scenario = "cut_before:x=y" + first
	case cutEarly:
		c.scenario = "cut:after=0," + say
	case cutLate:
		c.scenario = "cut:after=2," + say
	case silentEarly:
		c.scenario = "silence:after=0,for=20m," + say
	case silentLate:
		c.scenario = "silence:after=2,for=20m," + say
	case errorEarly:
		c.scenario = "error_chunk:after=0," + say
	case errorLate:
		c.scenario = "error_chunk:after=2," + say
	case serverError:
		c.scenario = "server_error:x=y" + first
	case htmlPage:
		c.scenario = "html:x=y" + first
	case hollow:
		c.scenario = "empty_200:x=y" + first
	case tooLong:
		c.scenario = "context_too_long:x=y" + first
	case ownFault:
		c.status, c.answer = http.StatusBadRequest, ownFaults[a.provider]
	}
}

var ownFaults = map[string]string{
	"openai":           `{"error":{"message":"Invalid value for messages.","type":"invalid_request_error","param":"messages","code":null}}`,
	"compat":           `{"error":{"message":"Invalid value for messages.","type":"invalid_request_error","param":"messages","code":null}}`,
	"openai-responses": `{"error":{"message":"Invalid value for input.","type":"invalid_request_error","param":"input","code":null}}`,
	"codex":            `{"error":{"message":"Invalid value for input.","type":"invalid_request_error","param":"input","code":null}}`,
	"anthropic":        `{"type":"error","error":{"type":"invalid_request_error","message":"messages: invalid value"}}`,
	"gemini":           `{"error":{"code":400,"message":"Invalid value at 'contents'.","status":"INVALID_ARGUMENT"}}`,
	"home-ollama":      `{"error":"invalid value for messages"}`,
}

// Pauses as the rules give them, written down here a second time on purpose.
const (
	ruleFirst  = time.Second
	ruleLimit  = 30 * time.Minute
	ruleKey    = 30 * time.Minute
	ruleUnpaid = 30 * time.Minute
	ruleModel  = time.Hour
	ruleFault  = 30 * time.Second
	ruleFaults = 3
	forEver    = 1000 * time.Hour
	slack      = 2 * time.Millisecond
)

func ruleDouble(n int) time.Duration { return min(ruleFirst<<min(max(n-1, 0), 11), ruleLimit) }

// told notes what an account heard with the head of an answer.
func (w *world) told(c *call) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	a := c.account
	// Who hangs up at the very instant at which the head comes may or may not have heard it.
	unheard := c.req.hangUp > 0 && now.Equal(c.req.at.Add(c.req.hangUp))
	add := func(lower, upper time.Duration) {
		if unheard {
			lower = 0
		}
		a.rests = append(a.rests, rest{now, now.Add(lower), now.Add(upper + slack)})
	}
	if a.heard = append(a.heard, fmt.Sprintf("%s %s %s (level %d to %d)", now.Sub(w.begin), c.req.id, c.verdict, a.least, a.most)); len(a.heard) > 12 {
		a.heard = a.heard[1:]
	}
	switch c.verdict {
	case limitTold, limitInBody:
		a.count(now, unheard)
		add(c.wait, c.wait)
	case limitSilent:
		resting := a.restsUntil(now)
		a.count(now, unheard)
		if resting { // it failed beside another call: they are one failure
			add(0, ruleDouble(a.most))
		} else {
			add(ruleDouble(a.least)*3/4, ruleDouble(a.most))
		}
	case refusedKey, refusedShort:
		a.refused = append(a.refused, span{c.at, now})
		if a.refresh == "" {
			add(0, ruleKey)
		} else {
			a.lost = true // the login was renewed, and refused again
			add(0, forEver)
		}
	case staleToken:
		a.refused = append(a.refused, span{c.at, now})
	case revoked, forbidden:
		a.refused = append(a.refused, span{c.at, now})
		a.lost = true
		add(0, forEver)
	case unpaid:
		a.lost = true
		add(0, forEver)
	case noModel:
		add(ruleModel-slack, ruleModel)
	}
}

// count counts a refusal. Those of calls side by side are one.
func (a *acct) count(now time.Time, unheard bool) {
	a.most++
	if !unheard && !a.restsUntil(now) {
		a.least++
	}
}

func (a *acct) restsUntil(now time.Time) bool {
	return slices.ContainsFunc(a.rests, func(r rest) bool { return now.Before(r.upper) })
}

// leave notes that a call has ended at the service.
func (w *world) leave(c *call) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	a := c.account
	a.inflight--
	if a.over != nil && a.over.at.Equal(now) && a.inflight <= a.limit {
		a.over = nil
	}
	if c.verdict.faults() {
		a.faults = append(a.faults, now)
		if len(a.faults) > 16 {
			a.faults = a.faults[len(a.faults)-16:]
		}
		if a.faultsBefore(now) >= ruleFaults {
			a.rests = append(a.rests, rest{now, now, now.Add(ruleFault + time.Second)})
		}
	}
	if c.verdict == fine {
		a.least = 0
		if !a.restsUntil(now) {
			a.most = 0
		}
	}
	if len(a.rests) > 64 {
		a.rests = slices.DeleteFunc(a.rests, func(r rest) bool { return r.upper.Add(30 * time.Minute).Before(now) })
	}
}

func (a *acct) faultsBefore(now time.Time) (n int) {
	for _, t := range a.faults {
		if now.Sub(t) < time.Hour {
			n++
		}
	}
	return n
}

// mended forgets what a person has mended.
func (a *acct) mended() {
	now := time.Now()
	for i := range a.rests {
		a.rests[i].lower = minTime(a.rests[i].lower, now)
		a.rests[i].upper = minTime(a.rests[i].upper, now)
	}
	a.least, a.most, a.lost, a.refused, a.faults = 0, 0, false, nil, nil
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

var refreshToken = regexp.MustCompile(`refresh_token["=:\s]+([^"&\s]+)`)
var accessToken = regexp.MustCompile(`"access_token"\s*:\s*"([^"]+)"`)

func (w *world) holder(body string) *acct {
	m := refreshToken.FindStringSubmatch(body)
	if m == nil {
		return nil
	}
	for _, a := range w.accounts {
		if a.refresh != "" && strings.Contains(body, a.refresh) {
			return a
		}
	}
	return nil
}

// renewing says how a token endpoint refuses, "" if it does not.
func (w *world) renewing(proxy, body string) string {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.holder(body)
	if a == nil {
		return "" // an old token, which the simulated service refuses
	}
	if proxy != a.proxy {
		w.violate(nil, &w.figures.others, "the login of %s was renewed past its proxy", a.name)
	}
	if a.at(now).kind == revoked {
		a.lost = true
		a.refused = append(a.refused, span{now, now})
		a.rests = append(a.rests, rest{now, now, now.Add(forEver)})
		return `{"error":"invalid_grant","error_description":"The token ` + a.refresh + ` was revoked."}`
	}
	return ""
}

// renewed notes the tokens that a renewal gave.
func (w *world) renewed(body, answer string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.holder(body)
	if a == nil {
		return
	}
	if m := refreshToken.FindStringSubmatch(answer); m != nil {
		a.refresh = m[1]
	}
	if m := accessToken.FindStringSubmatch(answer); m != nil {
		a.key = m[1]
	}
}

// violation is something that must not happen.
type violation struct {
	at   time.Duration // since the beginning
	text string
	req  *request // nil = it belongs to none
}

// violate notes a violation. The caller holds the lock.
func (w *world) violate(r *request, counter *int, format string, args ...any) {
	*counter++
	if len(w.bad) < 20 {
		w.bad = append(w.bad, violation{time.Since(w.begin), fmt.Sprintf(format, args...), r})
	}
}

// tell is a violation with its request's trace, once all has ended.
func (w *world) tell(v violation) string {
	text := v.at.Round(time.Millisecond).String() + " " + v.text
	if v.req != nil {
		text += "\n" + w.trace(v.req)
	}
	return text
}

// trace tells a request's way.
func (w *world) trace(r *request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "    %s: %s of %s, stream %v, own fault %q, hangs up after %s, sent at %s", r.id, r.protocol, r.provider, r.stream, r.fault, r.hangUp, r.at.Sub(w.begin))
	for _, c := range r.calls {
		what := string(c.verdict)
		if c.verdict == fine {
			what = "answered"
		}
		fmt.Fprintf(&b, "\n      %s %s%s: %s (%s%s)", c.at.Sub(w.begin).Round(time.Millisecond), c.account.name, c.path, what, c.scenario, c.answer)
	}
	if s := r.sink; s != nil {
		s.mu.Lock()
		body := s.body
		if len(body) > 1500 {
			body = body[len(body)-1500:]
		}
		fmt.Fprintf(&b, "\n      got %d: %s", s.status, body)
		s.mu.Unlock()
	}
	return b.String()
}
