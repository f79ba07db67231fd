// Package chaos holds one suite: Patchbay among accounts that are each unreliable. Requests of every protocol go through the
// server, the gateway, the router, the accounts and the drivers to the simulated services, all in one process and in virtual
// time, while a script of random troubles plays: limits with and without a time, refusals of keys and logins, failures of
// services and lines, stalls, cuts, dead proxies, restarts and kills, people who switch accounts off and clients who hang up.
//
// An oracle that knows the script, and nothing of Patchbay's idea of health, tells for each request whether an account could
// have served it, and for each call whether it may have been made.
package chaos

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"text/tabwriter"
	"time"

	"patchbay/backend/account"
	"patchbay/backend/clientkey"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/simulator"
)

var (
	seedFlag     = flag.Uint64("chaos.seed", 1, "seed of the random troubles; 0 = by the clock")
	strategyFlag = flag.String("chaos.strategy", "", "how accounts are chosen; empty = one drawn for each pool")
	requestsFlag = flag.Int("chaos.requests", 3000, "how many requests")
)

// wanted is the share of the requests that an account could have served which must be served.
const wanted = 0.999

// scene is one pool, or several.
type scene struct {
	name   string
	share  int // of all requests, in percent
	pace   time.Duration
	chains map[string][]string
	pools  []group
}

// group is accounts of one provider.
type group struct {
	provider string
	n        int
	limit    int
	proxied  int // how many of them have a proxy
	logins   bool
	troubles []trouble
}

// usual are the troubles of an account with a key.
var usual = []trouble{limitTold, limitInBody, limitSilent, limitSilent, refusedKey, refusedShort, forbidden, unpaid, noModel, outage, overloaded, stalled, switchedOff}

var scenes = []scene{
	{name: "1 account", share: 15, pace: 8 * time.Second, pools: []group{{provider: "openai", n: 1, troubles: usual}}},
	{name: "3 accounts, one provider", share: 15, pace: 4 * time.Second, pools: []group{{provider: "anthropic", n: 3, limit: 4, troubles: usual}}},
	{name: "3 accounts, 3 providers", share: 20, pace: 4 * time.Second,
		chains: map[string][]string{"gemini": {"codex/gpt-5.5"}, "codex": {"home-ollama/qwen3:8b"}},
		pools: []group{
			{provider: "gemini", n: 1, proxied: 1, troubles: append(usual[:len(usual):len(usual)], proxyDead, proxyDead)},
			{provider: "codex", n: 1, logins: true, troubles: []trouble{limitTold, limitInBody, limitSilent, staleToken, staleToken, revoked, outage, overloaded, switchedOff}},
			{provider: "home-ollama", n: 1, limit: 2, troubles: []trouble{outage, overloaded, stalled}},
		}},
	{name: "20 accounts, 7 providers", share: 50, pace: 700 * time.Millisecond,
		chains: map[string][]string{
			"openai": {"anthropic/m-one", "compat/m-one"}, "anthropic": {"openai/m-one"}, "compat": {"gemini/m-one", "openai-responses/m-one"},
			"gemini": {"openai-responses/m-one"}, "openai-responses": {"codex/gpt-5.5"}, "codex": {"home-ollama/qwen3:8b"}, "home-ollama": {"compat/m-one"},
		},
		pools: []group{
			{provider: "openai", n: 5, proxied: 2, troubles: append(usual[:len(usual):len(usual)], proxyDead)},
			{provider: "anthropic", n: 4, limit: 3, troubles: usual},
			{provider: "compat", n: 3, troubles: usual},
			{provider: "gemini", n: 2, troubles: usual},
			{provider: "openai-responses", n: 2, troubles: usual},
			{provider: "codex", n: 3, logins: true, troubles: []trouble{limitTold, limitInBody, limitSilent, staleToken, staleToken, revoked, outage, overloaded, switchedOff}},
			{provider: "home-ollama", n: 1, limit: 2, troubles: []trouble{outage, overloaded, stalled}},
		}},
}

func TestChaos(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d: repeat with -chaos.seed=%d -chaos.requests=%d", seed, seed, *requestsFlag)
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // it is a matter of speed
	before := runtime.NumGoroutine()
	all, names := make([]figures, len(scenes)), make([]string, len(scenes))
	begun := time.Now()
	t.Run("scenes", func(t *testing.T) {
		for i, sc := range scenes {
			names[i] = sc.name
			t.Run(sc.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { all[i] = play(t, sc, seed+uint64(i), *requestsFlag*sc.share/100) })
			})
		}
	})
	t.Logf("in %s\n%s", time.Since(begun).Round(time.Millisecond), table(names, all))
	for range 1000 { // a goroutine that has ended is counted for a moment
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d goroutines are left of %d", runtime.NumGoroutine(), before)
}

// play runs a scene.
func play(t *testing.T, sc scene, seed uint64, n int) figures {
	w := newWorld(seed, &logs{})
	w.chains, w.begin = sc.chains, time.Now()
	horizon := w.begin.Add(time.Duration(n)*sc.pace + 2*time.Hour)
	for _, g := range sc.pools {
		for i := range g.n {
			w.accounts = append(w.accounts, w.write(g, i, horizon))
		}
	}
	r := &run{t: t, world: w, turn: make(chan struct{}, 1), dice: w.dice("requests")}
	r.bay = openBay(t, w, t.TempDir())
	_, text, err := r.bay.keys.Add(t.Context(), "chaos", secret.Value{}, clientkey.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	r.key = text.Reveal()
	for _, a := range w.accounts {
		if len(a.person) == 0 || a.person[0].do != "add" {
			r.add(a)
		}
	}
	quit := make(chan struct{})
	people := make(chan struct{})
	go func() { defer close(people); r.people(quit) }() // ends with quit
	for i := range n {
		time.Sleep(time.Duration(r.dice.ExpFloat64() * float64(sc.pace)))
		switch at := i % (n/5 + 1); {
		case n < 100:
		case at == n/10:
			r.restart()
		case at == (n/10+n/6)/2:
			close(r.bay.live)
		case at == n/6:
			r.kill()
		}
		r.request(i, sc)
	}
	r.bay.clients.Wait()
	close(quit)
	<-people
	synctest.Wait()
	r.settled()
	r.bay.flushRows(t.Context())
	w.checkRows(r.bay.rows(t))
	r.bay.close(t)
	spent := time.Since(w.begin)
	synctest.Wait() // the bubble ends only if no goroutine is left in it
	if strings.Contains(w.log.String(), canary) {
		w.figures.leaks++
		t.Error("the log holds a secret")
	}
	for _, v := range w.bad {
		t.Log(w.tell(v))
	}
	f := w.figures
	f.spent = spent
	if n := f.broken(); n > 0 {
		t.Errorf("%d violations", n)
	}
	if float64(f.servedServable) < wanted*float64(f.servable) {
		t.Errorf("served %d of %d that an account could have served", f.servedServable, f.servable)
	}
	return f
}

// write makes an account with its script.
func (w *world) write(g group, i int, horizon time.Time) *acct {
	a := &acct{name: fmt.Sprintf("%s-%d", g.provider, i+1), provider: g.provider, limit: g.limit, stale: map[string]bool{}}
	if i < g.proxied {
		a.proxy = fmt.Sprintf("http://person:%s@proxy-%d.sim.test:3128", canary, i+1)
	}
	if g.logins {
		a.refresh = "-"
	}
	if i%4 == 3 { // it comes later
		a.person = append(a.person, personal{w.begin.Add(horizon.Sub(w.begin) / 4), "add"})
	}
	d := w.dice("script ", a.name)
	exp := func(mean time.Duration) time.Duration { return time.Duration(d.ExpFloat64() * float64(mean)) }
	for at := w.begin.Add(exp(10 * time.Minute)); at.Before(horizon); at = at.Add(time.Minute + exp(15*time.Minute)) {
		kind := g.troubles[d.IntN(len(g.troubles))]
		if kind == proxyDead && a.proxy == "" {
			continue
		}
		length := time.Second + exp(map[trouble]time.Duration{
			limitTold: 4 * time.Minute, limitInBody: 4 * time.Minute, limitSilent: 2 * time.Minute, refusedShort: 2 * time.Second, refusedKey: 20 * time.Minute, noModel: 10 * time.Minute,
			outage: time.Minute, overloaded: time.Minute, stalled: 2 * time.Minute, proxyDead: 3 * time.Minute,
		}[kind])
		switch kind {
		case refusedKey, forbidden, unpaid, revoked:
			length += exp(15 * time.Minute)
			a.person = append(a.person, personal{at.Add(length), "mend"})
		case switchedOff:
			length += exp(5 * time.Minute)
			a.person = append(a.person, personal{at, "off"}, personal{at.Add(length), "on"})
		case staleToken:
			a.person = append(a.person, personal{at, "stale"})
			continue // the account can serve all the time: it has to be refreshed
		}
		a.script = append(a.script, episode{kind, at, at.Add(length)})
		at = at.Add(length)
	}
	return a
}

// run is a scene that plays.
type run struct {
	t     *testing.T
	world *world
	bay   *bay
	turn  chan struct{} // held by whoever changes accounts or replaces the bay
	key   string
	dice  *rand.Rand
}

func (r *run) lock()   { r.turn <- struct{}{} }
func (r *run) unlock() { <-r.turn }

func (r *run) credential(a *acct) provider.Credential {
	a.keys++
	if a.refresh != "" {
		users := []string{"ann@example.test", "bob@example.test", "ann@work.example.test"}
		g, ok := r.world.sim.SignIn(simulator.Codex).Issue(users[int(a.name[len(a.name)-1]-'1')%3])
		if !ok {
			r.t.Fatal("nobody signed in")
		}
		a.key, a.refresh = g.Access, g.Refresh
		return provider.Credential{Access: secret.New(g.Access), Refresh: secret.New(g.Refresh), Issued: time.Now(), Expiry: time.Now().Add(g.Life)}
	}
	a.key = fmt.Sprintf("sk-sim-%s-%s-%d", canary, a.name, a.keys)
	if a.provider == "anthropic" {
		a.key = strings.Replace(a.key, "sk-sim", "sk-ant-sim", 1)
	}
	return provider.Credential{Access: secret.New(a.key)}
}

func (r *run) add(a *acct) {
	r.world.mu.Lock()
	c := r.credential(a)
	r.world.byHost[a.host()] = a
	r.world.mu.Unlock()
	st, err := r.bay.accounts.Add(r.t.Context(), account.Account{
		Provider: a.provider, Name: a.name, Priority: 100, Enabled: true, Proxy: a.proxy, MaxConcurrent: a.limit,
		Settings: map[string]string{provider.SettingBaseURL: "http://" + a.host() + services[a.provider].path},
	}, c)
	if err != nil {
		r.t.Fatal(err)
	}
	r.world.mu.Lock()
	a.id, a.added = st.ID, time.Now()
	r.world.mu.Unlock()
}

// people do what the script has people do, and look at the accounts now and then.
func (r *run) people(quit <-chan struct{}) {
	type act struct {
		a *acct
		personal
	}
	var acts []act
	for _, a := range r.world.accounts {
		for _, p := range a.person {
			acts = append(acts, act{a, p})
		}
	}
	slices.SortStableFunc(acts, func(a, b act) int { return a.at.Compare(b.at) })
	for {
		next := time.Now().Add(30 * time.Second)
		if len(acts) > 0 && acts[0].at.Before(next) {
			next = acts[0].at
		}
		select {
		case <-time.After(time.Until(next)):
		case <-quit:
			return
		}
		r.lock()
		for len(acts) > 0 && !acts[0].at.After(time.Now()) {
			r.act(acts[0].a, acts[0].do)
			acts = acts[1:]
		}
		r.world.audit(r.bay)
		r.unlock()
	}
}

func (r *run) act(a *acct, do string) {
	w, ctx := r.world, context.WithoutCancel(r.t.Context())
	var err error
	if a.id == "" && do != "add" {
		return
	}
	switch do {
	case "add":
		r.add(a)
	case "off", "on":
		err = r.bay.accounts.SetEnabled(ctx, a.id, do == "on")
		w.mu.Lock()
		a.off = do == "off"
		w.mu.Unlock()
	case "stale":
		w.mu.Lock()
		a.stale[a.key] = true
		w.mu.Unlock()
	case "mend":
		w.mu.Lock()
		c := r.credential(a)
		w.mu.Unlock()
		err = r.bay.accounts.SetCredential(ctx, a.id, c)
		w.mu.Lock()
		a.mended()
		w.mu.Unlock()
	}
	if err != nil {
		r.t.Error(err)
	}
}

// restart ends Patchbay as a person does, and starts it again.
func (r *run) restart() {
	r.lock()
	defer r.unlock()
	r.bay.close(r.t)
	r.world.forgetLevels()
	r.bay = openBay(r.t, r.world, r.bay.dir)
	r.world.figures.restarts++
	r.world.audit(r.bay)
}

// kill ends Patchbay as kill -9 does.
func (r *run) kill() {
	r.lock()
	defer r.unlock()
	synctest.Wait() // what happens at one instant is whole
	dir := r.t.TempDir()
	r.bay.snapshot(r.t, dir)
	r.bay.killed = true
	r.bay.close(r.t)
	r.world.forgetLevels()
	r.bay = openBay(r.t, r.world, dir)
	r.world.figures.kills++
	r.world.audit(r.bay)
}

// forgetLevels takes note that a restart forgets how many refusals came before, once the pause is over.
func (w *world) forgetLevels() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.accounts {
		a.least = 0
	}
}

var bodies = map[string]string{
	"openai":    `{"model":"%s","stream":%t,"messages":[{"role":"user","content":"%s"}]}`,
	"anthropic": `{"model":"%s","stream":%t,"max_tokens":64,"messages":[{"role":"user","content":"%s"}]}`,
	"responses": `{"model":"%s","stream":%t,"input":"%s"}`,
	"ollama":    `{"model":"%s","stream":%t,"messages":[{"role":"user","content":"%s"}]}`,
}

var paths = map[string]string{"openai": "/v1/chat/completions", "anthropic": "/v1/messages", "responses": "/v1/responses", "ollama": "/api/chat"}

// request sends one request, whose end it does not wait for.
func (r *run) request(i int, sc scene) {
	w, d := r.world, r.dice
	q := &request{n: i, id: fmt.Sprintf("r%06dx", i), provider: sc.pools[d.IntN(len(sc.pools))].provider, stream: d.IntN(4) > 0, at: time.Now(), busy: map[*acct]bool{}}
	q.protocol = []string{"openai", "anthropic", "responses", "gemini", "ollama"}[d.IntN(5)]
	switch d.IntN(25) {
	case 0:
		q.fault = ownFault
	case 1:
		q.fault = tooLong
	case 2:
		q.hangUp = time.Duration(1+d.IntN(3000)) * time.Millisecond
	}
	path, body := "/"+q.provider+paths[q.protocol], ""
	model := services[q.provider].model
	if q.protocol == "gemini" {
		op := "generateContent"
		if q.stream {
			op = "streamGenerateContent?alt=sse"
		}
		path = "/" + q.provider + "/v1beta/models/" + url.PathEscape(model) + ":" + op
		body = `{"contents":[{"role":"user","parts":[{"text":"` + q.asks() + `"}]}]}`
	} else {
		body = fmt.Sprintf(bodies[q.protocol], model, q.stream, q.asks())
	}
	b := r.bay
	ctx, cancel := context.WithCancel(b.base)
	q.sink = &sink{head: http.Header{}, word: []byte("alpha")}
	in, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://127.0.0.1:8390"+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	in.RequestURI, in.RemoteAddr, in.Body = in.URL.RequestURI(), "127.0.0.1:9", io.NopCloser(strings.NewReader(body))
	in.Header.Set("Authorization", "Bearer "+r.key)
	in.Header.Set("Content-Type", "application/json")
	w.mu.Lock()
	w.requests[q.id] = q
	for _, a := range w.accounts {
		q.busy[a] = a.limit > 0 && a.inflight >= a.limit
	}
	w.mu.Unlock()
	b.clients.Go(func() { // ends with the answer
		if q.hangUp > 0 {
			stop := time.AfterFunc(q.hangUp, func() { q.sink.gone.Store(true); cancel() })
			defer stop.Stop()
		}
		b.server.ServeHTTP(q.sink, in)
		cancel()
		w.finish(b, q)
	})
}

// settled checks what must be back where it was.
func (r *run) settled() {
	for _, s := range r.bay.accounts.List() {
		if s.InFlight != 0 {
			r.t.Errorf("%s has %d calls in flight", s.Name, s.InFlight)
		}
	}
	if n := r.bay.server.InFlight(); n != 0 {
		r.t.Errorf("the server has %d requests in flight", n)
	}
	r.world.audit(r.bay)
	for _, a := range r.world.accounts {
		if a.inflight != 0 {
			r.t.Errorf("%s still has %d calls", a.name, a.inflight)
		}
	}
}

func (f *figures) broken() int {
	return f.penalties + f.afterContent + f.resting + f.terminals + f.lost + f.leaks + f.others
}

// table shows the figures of all scenes.
func table(names []string, all []figures) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(name string, of func(*figures) string) {
		fmt.Fprintf(w, "%s\t", name)
		for i := range all {
			fmt.Fprintf(w, "%s\t", of(&all[i]))
		}
		fmt.Fprintln(w)
	}
	count := func(name string, of func(*figures) int) {
		line(name, func(f *figures) string { return strconv.Itoa(of(f)) })
	}
	share := func(part, whole int) string {
		if whole == 0 {
			return "-"
		}
		return fmt.Sprintf("%.3f %%", 100*float64(part)/float64(whole))
	}
	fmt.Fprintf(w, "\t%s\t\n", strings.Join(names, "\t"))
	count("requests", func(f *figures) int { return f.requests })
	line("of the services' time", func(f *figures) string { return f.spent.Round(time.Minute).String() })
	count("calls of accounts", func(f *figures) int { return f.calls })
	count("served", func(f *figures) int { return f.served })
	count("  after a change of account or a repeat", func(f *figures) int { return f.hops })
	count("an account could have served (script and rules)", func(f *figures) int { return f.servable })
	line("  of these served", func(f *figures) string { return share(f.servedServable, f.servable) })
	count("an account could have served (script alone)", func(f *figures) int { return f.byScript })
	line("  of these served", func(f *figures) string { return share(f.servedByScript, f.byScript) })
	count("broke off after the first content", func(f *figures) int { return f.late })
	count("refused for their own fault", func(f *figures) int { return f.own })
	count("clients that hung up", func(f *figures) int { return f.hungUp })
	count("ended by a restart", func(f *figures) int { return f.cutByRestart })
	line("restarts, kills", func(f *figures) string { return fmt.Sprintf("%d, %d", f.restarts, f.kills) })
	count("penalties that nobody deserved", func(f *figures) int { return f.penalties })
	count("calls after the first content", func(f *figures) int { return f.afterContent })
	count("calls of accounts that rest or are off", func(f *figures) int { return f.resting })
	count("streams without exactly one end", func(f *figures) int { return f.terminals })
	count("rows and accounts lost", func(f *figures) int { return f.lost })
	count("secrets told", func(f *figures) int { return f.leaks })
	count("other violations", func(f *figures) int { return f.others })
	line("longest request", func(f *figures) string { return f.longest.Round(time.Second).String() })
	w.Flush()
	return b.String()
}
