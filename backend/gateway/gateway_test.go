package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/account"
	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/events"
	"patchbay/backend/provider"
	"patchbay/backend/record"
	"patchbay/backend/route"
	"patchbay/backend/secret"
	"patchbay/backend/store"
	"patchbay/backend/trace"
)

// step is what an upstream does on one call.
type step func(ctx context.Context, req *canon.Request, yield func(canon.Event, error) bool)

// script is a service whose accounts answer call after call with the steps that stand under their key; the last one
// repeats.
type script struct {
	id, wire string
	policy   provider.Policy

	mu    sync.Mutex // guards the rest
	steps map[string][]step
	calls []string         // keys, in the order of calls
	seen  []*canon.Request // what they got
}

func (s *script) Info() provider.Info { return provider.Info{ID: s.id, Name: s.id, Wire: s.wire} }

func (s *script) Open(env provider.Env) (provider.Upstream, error) {
	return &scripted{s, env}, nil
}

type scripted struct {
	s   *script
	env provider.Env
}

func (u *scripted) Models(context.Context) ([]canon.Model, error) { return nil, nil }

func (u *scripted) Stream(ctx context.Context, req *canon.Request) canon.Stream {
	return func(yield func(canon.Event, error) bool) {
		c, err := u.env.Token(ctx)
		if err != nil {
			yield(canon.Event{}, err)
			return
		}
		u.s.next(c.Access.Reveal(), req)(ctx, req, yield)
	}
}

func (u *scripted) CountTokens(context.Context, *canon.Request) (int64, error) { return 42, nil }

func (u *scripted) Embed(ctx context.Context, req *canon.Embed) (*canon.Embeddings, error) {
	var failed error
	c, err := u.env.Token(ctx)
	if err != nil {
		return nil, err
	}
	u.s.next(c.Access.Reveal(), &canon.Request{Model: req.Model})(ctx, nil, func(_ canon.Event, err error) bool {
		failed = err
		return err == nil
	})
	if failed != nil {
		return nil, failed
	}
	return &canon.Embeddings{Model: req.Model, Vectors: [][]float32{{1}}, Usage: &canon.Usage{Input: 3}}, nil
}

func (s *script) next(key string, req *canon.Request) step {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, key)
	s.seen = append(s.seen, req)
	steps := s.steps[key]
	if len(steps) > 1 {
		s.steps[key] = steps[1:]
	}
	return steps[0]
}

func ok(text string) step {
	return func(_ context.Context, _ *canon.Request, yield func(canon.Event, error) bool) {
		for ev, err := range answerOf(text).Events() {
			if !yield(ev, err) {
				return
			}
		}
	}
}

func answerOf(text string) *canon.Response {
	return &canon.Response{ID: "a", Parts: []canon.Part{{Type: canon.PartText, Text: text}}, Finish: canon.Finish{Reason: canon.FinishStop}, Usage: &canon.Usage{Input: 7, Output: 2}}
}

func fails(kind apierror.Kind, mend ...func(*apierror.Error)) step {
	return func(_ context.Context, _ *canon.Request, yield func(canon.Event, error) bool) {
		e := apierror.New(kind, "it says %s", kind)
		for _, m := range mend {
			m(e)
		}
		if yield(canon.Event{Kind: canon.KindStart, ID: "held back"}, nil) {
			yield(canon.Event{}, e)
		}
	}
}

func in(d time.Duration) func(*apierror.Error) { return func(e *apierror.Error) { e.RetryAfter = d } }

// failsAfter sends some text first.
func failsAfter(kind apierror.Kind) step {
	return func(_ context.Context, _ *canon.Request, yield func(canon.Event, error) bool) {
		_ = yield(canon.Event{Kind: canon.KindStart}, nil) &&
			yield(canon.Event{Kind: canon.KindPartStart, Part: &canon.Part{Type: canon.PartText}}, nil) &&
			yield(canon.Event{Kind: canon.KindDelta, Delta: canon.DeltaText, Text: "half"}, nil) &&
			yield(canon.Event{}, apierror.New(kind, "it says %s", kind))
	}
}

func empty(_ context.Context, _ *canon.Request, yield func(canon.Event, error) bool) {
	_ = yield(canon.Event{Kind: canon.KindStart}, nil) && yield(canon.Event{Kind: canon.KindFinish, Finish: canon.Finish{Reason: canon.FinishStop}}, nil)
}

func cut(_ context.Context, _ *canon.Request, yield func(canon.Event, error) bool) {
	yield(canon.Event{Kind: canon.KindStart}, nil)
}

func hangs(ctx context.Context, _ *canon.Request, yield func(canon.Event, error) bool) {
	<-ctx.Done()
	yield(canon.Event{}, &apierror.Error{Kind: apierror.Transport, Msg: "canceled", Err: ctx.Err()})
}

// plans is a planner that always gives the same plan.
type plans struct{ candidates []route.Candidate }

func (p plans) Plan(context.Context, route.Query) (route.Plan, error) {
	return route.Plan{Candidates: p.candidates, Steps: []trace.Step{{What: trace.Note, Message: "the test says so"}}}, nil
}

type rows struct {
	mu   sync.Mutex // guards rows
	rows []record.Row
}

func (r *rows) Changed(string) {}

func (r *rows) Begin(record.Row, func(*record.Row)) func(record.Row) {
	return func(row record.Row) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.rows = append(r.rows, row)
	}
}

// rig is a gateway over scripted services.
type rig struct {
	t       *testing.T
	gw      *Gateway
	pools   *account.Pools
	log     *rows
	scripts map[string]*script
	drivers map[string]provider.Driver // in place of the scripts themselves
	limits  Limits
}

func newRig(t *testing.T, candidates []route.Candidate, scripts ...*script) *rig {
	t.Helper()
	db, _, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "p.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	r := &rig{t: t, log: &rows{}, scripts: map[string]*script{}, limits: Limits{Attempts: DefaultAttempts, Accounts: DefaultAccounts, FirstEvent: time.Minute, Whole: time.Minute}}
	for _, s := range scripts {
		r.scripts[s.id] = s
	}
	r.pools, err = account.New(t.Context(), account.Needs{
		Store: db, Secrets: secret.NewMemory(), Bus: &events.Bus{}, Log: slog.New(slog.DiscardHandler),
		Driver: func(id string) (provider.Driver, map[string]string, error) {
			if d := r.drivers[id]; d != nil {
				return d, nil, nil
			}
			return r.scripts[id], nil, nil
		},
		HTTP: func(string, string) *http.Client { return http.DefaultClient },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scripts {
		for i := range 9 {
			key := fmt.Sprint(i + 1)
			if s.steps[key] == nil {
				break
			}
			if _, err := r.pools.Add(t.Context(), account.Account{Provider: s.id, Name: s.id + "-" + key, Priority: i + 1, Enabled: true}, provider.Credential{Access: secret.New(key)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.gw = New(Options{
		Planner: plans{candidates}, Accounts: r.pools, Log: r.log, Limits: func(string) Limits { return r.limits },
		Policy: func(id string) provider.Policy { return r.scripts[id].policy }, Logger: slog.New(slog.DiscardHandler),
	})
	return r
}

func (r *rig) call(req *canon.Request) (string, *Call, error) {
	r.t.Helper()
	if req == nil {
		req = &canon.Request{Format: "openai", Op: "chat", ModelAsked: "m", Stream: true}
	}
	c := r.gw.Call(req, Caller{RequestID: "req_1", KeyID: "k"})
	resp, err := canon.Collect(c.Stream(r.t.Context()))
	text := ""
	for _, p := range resp.Parts {
		text += p.Text
	}
	return text, c, err
}

func (r *rig) row() record.Row {
	r.t.Helper()
	if len(r.log.rows) != 1 {
		r.t.Fatalf("%d rows", len(r.log.rows))
	}
	return r.log.rows[0]
}

func one(id string) []route.Candidate {
	return []route.Candidate{{Provider: id, Model: "real", Wire: "openai"}}
}

func TestAnswerNamesItsRoute(t *testing.T) {
	s := &script{id: "a", steps: map[string][]step{"1": {ok("hi")}}}
	r := newRig(t, one("a"), s)
	text, c, err := r.call(nil)
	if err != nil || text != "hi" {
		t.Fatalf("%q, %v", text, err)
	}
	rt := c.Route()
	if rt.Provider != "a" || rt.Account != "a-1" || rt.Model != "real" || rt.Attempts != 1 {
		t.Errorf("%+v", rt)
	}
	row := r.row()
	if row.Status != 200 || row.Key != "k" || row.Tokens.Input != 7 || row.Tokens.Output != 2 || row.First < 0 || len(row.Trace) != 2 || row.Trace[0].Message != "the test says so" {
		t.Errorf("%+v", row)
	}
	if s.seen[0].Model != "real" {
		t.Errorf("the upstream got the model %q", s.seen[0].Model)
	}
}

func TestFailoverBeforeTheFirstContent(t *testing.T) {
	for _, kind := range []apierror.Kind{apierror.RateLimited, apierror.QuotaExhausted, apierror.AuthExpired, apierror.AccountBlocked, apierror.NoCredit, apierror.Timeout} {
		t.Run(kind.String(), func(t *testing.T) {
			s := &script{id: "a", steps: map[string][]step{"1": {fails(kind, in(time.Hour))}, "2": {ok("second")}}}
			text, c, err := newRig(t, one("a"), s).call(nil)
			if err != nil || text != "second" || c.Route().Attempts != 2 || c.Route().Account != "a-2" {
				t.Errorf("%q, %+v, %v", text, c.Route(), err)
			}
			if d := cmp.Diff([]string{"1", "2"}, s.calls); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestFailureAfterContentIsFinal(t *testing.T) {
	for _, kind := range []apierror.Kind{apierror.RateLimited, apierror.Overloaded, apierror.Upstream5xx, apierror.Truncated} {
		s := &script{id: "a", steps: map[string][]step{"1": {failsAfter(kind)}, "2": {ok("second")}}}
		text, c, err := newRig(t, one("a"), s).call(nil)
		if apierror.KindOf(err) != kind || text != "half" || c.Route().Attempts != 1 {
			t.Errorf("%s: %q, %+v, %v", kind, text, c.Route(), err)
		}
	}
}

func TestAnnouncedPartIsNoContent(t *testing.T) {
	announces := func(_ context.Context, _ *canon.Request, yield func(canon.Event, error) bool) {
		_ = yield(canon.Event{Kind: canon.KindStart}, nil) &&
			yield(canon.Event{Kind: canon.KindPartStart, Part: &canon.Part{Type: canon.PartReasoning}}, nil) &&
			yield(canon.Event{}, apierror.New(apierror.Timeout, "it thought and fell silent"))
	}
	s := &script{id: "a", steps: map[string][]step{"1": {announces}, "2": {ok("second")}}}
	text, c, err := newRig(t, one("a"), s).call(nil)
	if err != nil || text != "second" || c.Route().Attempts != 2 {
		t.Errorf("%q, %+v, %v", text, c.Route(), err)
	}
}

func TestAnswerInOnePieceIsTriedAgainAfterContent(t *testing.T) {
	s := &script{id: "a", steps: map[string][]step{"1": {failsAfter(apierror.Timeout)}, "2": {ok("second")}}}
	r := newRig(t, one("a"), s)
	text, c, err := r.call(&canon.Request{Format: "openai", Op: "chat", ModelAsked: "m"})
	if err != nil || text != "second" || c.Route().Attempts != 2 {
		t.Errorf("%q, %+v, %v", text, c.Route(), err)
	}
	if row := r.row(); row.Tokens.Output != 2 || row.First < 0 {
		t.Errorf("%+v", row)
	}
}

func TestNoRepeatOnAnAccountThatWasPutAside(t *testing.T) {
	var r *rig
	off := func(ctx context.Context, req *canon.Request, yield func(canon.Event, error) bool) {
		if err := r.pools.SetEnabled(ctx, r.pools.List()[0].ID, false); err != nil {
			t.Error(err)
		}
		fails(apierror.Overloaded)(ctx, req, yield)
	}
	s := &script{id: "a", steps: map[string][]step{"1": {off, ok("again")}, "2": {ok("second")}}}
	r = newRig(t, one("a"), s)
	if text, _, err := r.call(nil); err != nil || text != "second" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestTooLongPromptIsToldOverItsNeighboursTroubles(t *testing.T) {
	s := &script{id: "a", steps: map[string][]step{"1": {fails(apierror.RateLimited, in(time.Minute))}, "2": {fails(apierror.ContextTooLong)}}}
	_, _, err := newRig(t, one("a"), s).call(nil)
	if apierror.KindOf(err) != apierror.ContextTooLong {
		t.Errorf("of one provider: %v", err)
	}
	a := &script{id: "a", steps: map[string][]step{"1": {fails(apierror.RateLimited, in(time.Minute))}}}
	b := &script{id: "b", steps: map[string][]step{"1": {fails(apierror.ContextTooLong)}}}
	_, _, err = newRig(t, append(one("a"), one("b")...), a, b).call(nil)
	if apierror.KindOf(err) != apierror.RateLimited {
		t.Errorf("a provider that may take it comes back: %v", err)
	}
}

func TestSameAccountIsTriedOnceMore(t *testing.T) {
	for _, kind := range []apierror.Kind{apierror.Overloaded, apierror.Upstream5xx, apierror.Transport, apierror.ModelBusy} {
		s := &script{id: "a", steps: map[string][]step{"1": {fails(kind), ok("again")}, "2": {ok("second")}}}
		text, c, err := newRig(t, one("a"), s).call(nil)
		if err != nil || text != "again" || c.Route().Attempts != 2 {
			t.Errorf("%s: %q, %+v, %v", kind, text, c.Route(), err)
		}
	}
	s := &script{id: "a", policy: provider.Policy{Repeats: -1}, steps: map[string][]step{"1": {fails(apierror.Overloaded), ok("again")}, "2": {ok("second")}}}
	if text, _, err := newRig(t, one("a"), s).call(nil); err != nil || text != "second" {
		t.Errorf("a provider without repeats: %q, %v", text, err)
	}
	s = &script{id: "a", policy: provider.Policy{ShortWait: time.Second}, steps: map[string][]step{"1": {fails(apierror.RateLimited, in(time.Millisecond)), ok("again")}, "2": {ok("second")}}}
	if text, _, err := newRig(t, one("a"), s).call(nil); err != nil || text != "again" {
		t.Errorf("a short rate limit: %q, %v", text, err)
	}
}

// While one call waits a short rate limit out, others take another account, and nobody is refused.
func TestShortRateLimitKeepsOthersAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{id: "a", policy: provider.Policy{ShortWait: 5 * time.Second}, steps: map[string][]step{
			"1": {fails(apierror.RateLimited, in(3*time.Second)), ok("again")}, "2": {ok("second")},
		}}
		r := newRig(t, one("a"), s)
		begun := time.Now()
		first := make(chan string)
		go func() {
			text, _, err := r.call(nil)
			first <- fmt.Sprintf("%s %v %v", text, err, time.Since(begun))
		}()
		synctest.Wait()
		for range 2 {
			if text, c, err := r.call(nil); err != nil || text != "second" || c.Route().Attempts != 1 {
				t.Errorf("%q, %v after %d attempts", text, err, c.Route().Attempts)
			}
		}
		for _, a := range r.pools.List() {
			if off := false; a.Name == "a-2" {
				if _, err := r.pools.Update(t.Context(), a.ID, func(a *account.Account) { a.Enabled = off }); err != nil {
					t.Fatal(err)
				}
			}
		}
		if text, c, err := r.call(nil); err != nil || text != "again" || c.Route().Attempts != 1 || time.Since(begun) != 3*time.Second {
			t.Errorf("the only account is waited for: %q, %v after %d attempts and %v", text, err, c.Route().Attempts, time.Since(begun))
		}
		if got := <-first; got != "again <nil> 3s" {
			t.Errorf("the call that waits itself: %s", got)
		}
	})
}

func TestRequestsOwnFaultIsNotRetried(t *testing.T) {
	for _, kind := range []apierror.Kind{apierror.InvalidRequest, apierror.ContentFiltered, apierror.PolicyRefused} {
		s := &script{id: "a", steps: map[string][]step{"1": {fails(kind)}, "2": {ok("second")}}}
		r := newRig(t, one("a"), s)
		_, c, err := r.call(nil)
		if apierror.KindOf(err) != kind || c.Route().Attempts != 1 {
			t.Errorf("%s: %+v, %v", kind, c.Route(), err)
		}
		for _, a := range r.pools.List() {
			if a.State != account.Ready {
				t.Errorf("%s harmed %s: %s", kind, a.Name, a.Reason)
			}
		}
	}
}

func TestFallback(t *testing.T) {
	two := []route.Candidate{{Provider: "a", Model: "x", Wire: "openai", Facts: canon.Model{Context: 100}}, {Provider: "b", Model: "y", Wire: "openai", Facts: canon.Model{Context: 50}}, {Provider: "c", Model: "z", Wire: "openai", Facts: canon.Model{Context: 200}}}
	for kind, want := range map[apierror.Kind]string{
		apierror.RateLimited: "from b", apierror.Unsupported: "from b", apierror.ModelNotFound: "from b",
		apierror.ContextTooLong: "from c", // b is not larger
	} {
		a := &script{id: "a", steps: map[string][]step{"1": {fails(kind)}}}
		b := &script{id: "b", steps: map[string][]step{"1": {ok("from b")}}}
		c := &script{id: "c", steps: map[string][]step{"1": {ok("from c")}}}
		text, _, err := newRig(t, two, a, b, c).call(nil)
		if err != nil || text != want {
			t.Errorf("%s: %q, %v", kind, text, err)
		}
	}
}

func TestAttemptsAreBounded(t *testing.T) {
	steps := map[string][]step{}
	for i := range 9 {
		steps[fmt.Sprint(i+1)] = []step{fails(apierror.Overloaded)}
	}
	s := &script{id: "a", policy: provider.Policy{Repeats: -1}, steps: steps}
	r := newRig(t, one("a"), s)
	r.limits.Accounts = 100
	_, c, err := r.call(nil)
	if apierror.KindOf(err) != apierror.Overloaded || c.Route().Attempts != DefaultAttempts || len(s.calls) != DefaultAttempts {
		t.Errorf("%+v, %v", c.Route(), err)
	}
	s = &script{id: "a", policy: provider.Policy{Repeats: -1}, steps: steps}
	if _, c, _ = newRig(t, one("a"), s).call(nil); c.Route().Attempts != DefaultAccounts {
		t.Errorf("%d accounts of one candidate", c.Route().Attempts)
	}
}

func TestStreamWithoutEndIsAnError(t *testing.T) {
	s := &script{id: "a", policy: provider.Policy{Repeats: -1}, steps: map[string][]step{"1": {cut}}}
	if _, _, err := newRig(t, one("a"), s).call(nil); apierror.KindOf(err) != apierror.Truncated {
		t.Error(err)
	}
}

func TestEmptyAnswerIsRetried(t *testing.T) {
	s := &script{id: "a", steps: map[string][]step{"1": {empty, ok("now")}}}
	if text, _, err := newRig(t, one("a"), s).call(nil); err != nil || text != "now" {
		t.Errorf("%q, %v", text, err)
	}
	zero := int64(0)
	s = &script{id: "a", steps: map[string][]step{"1": {empty}}}
	own := []route.Candidate{{Provider: "a", Model: "real", Wire: "anthropic"}}
	if _, c, err := newRig(t, own, s).call(&canon.Request{Format: "anthropic", ModelAsked: "m", MaxTokens: &zero}); err != nil || c.Route().Attempts != 1 {
		t.Errorf("a call that only fills a cache: %v", err)
	}
	if _, c, err := newRig(t, one("a"), s).call(&canon.Request{Format: "anthropic", ModelAsked: "m", MaxTokens: &zero}); apierror.From(err).Param != "max_tokens" || c.Route().Attempts != 0 {
		t.Errorf("the same of a service with another protocol: %v", err)
	}
}

func TestTimeLimitIsNamed(t *testing.T) {
	s := &script{id: "a", steps: map[string][]step{"1": {hangs}, "2": {ok("second")}}}
	r := newRig(t, one("a"), s)
	r.limits.FirstEvent = time.Millisecond
	if text, _, err := r.call(nil); err != nil || text != "second" {
		t.Fatalf("%q, %v", text, err)
	}
	if m := r.row().Trace[1].Message; !strings.Contains(m, "first_event") || !strings.Contains(m, "1ms") {
		t.Errorf("%q", m)
	}
	s = &script{id: "a", steps: map[string][]step{"1": {func(ctx context.Context, _ *canon.Request, yield func(canon.Event, error) bool) {
		if yield(canon.Event{Kind: canon.KindStart}, nil) {
			hangs(ctx, nil, yield)
		}
	}}}}
	r = newRig(t, one("a"), s)
	r.limits.Total = time.Millisecond
	if _, _, err := r.call(nil); apierror.KindOf(err) != apierror.Timeout || !strings.Contains(err.Error(), "total") {
		t.Error(err)
	}
}

func TestClientThatGoesAwayHarmsNobody(t *testing.T) {
	s := &script{id: "a", steps: map[string][]step{"1": {ok(strings.Repeat("words ", 100))}}}
	r := newRig(t, one("a"), s)
	for range r.gw.Call(&canon.Request{Format: "openai", ModelAsked: "m", Stream: true}, Caller{}).Stream(t.Context()) {
		break
	}
	if row := r.row(); row.Status != 499 || row.Kind != "client_closed" {
		t.Errorf("%+v", row)
	}
	if a := r.pools.List()[0]; a.State != account.Ready || a.InFlight != 0 {
		t.Errorf("%+v", a)
	}
}

func TestCanceledContextEndsTheSearch(t *testing.T) {
	s := &script{id: "a", steps: map[string][]step{"1": {hangs}, "2": {ok("second")}}}
	r := newRig(t, one("a"), s)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	_, err := canon.Collect(r.gw.Call(&canon.Request{Format: "openai", ModelAsked: "m", Stream: true}, Caller{}).Stream(ctx))
	if apierror.KindOf(err) != apierror.Canceled || len(s.calls) != 1 {
		t.Errorf("%v, %v", s.calls, err)
	}
}

func TestShutdownIsTold(t *testing.T) {
	s := &script{id: "a", steps: map[string][]step{"1": {hangs}}}
	r := newRig(t, one("a"), s)
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(time.Millisecond, func() { cancel(ErrShutdown) })
	_, err := canon.Collect(r.gw.Call(&canon.Request{Format: "openai", ModelAsked: "m", Stream: true}, Caller{}).Stream(ctx))
	if apierror.KindOf(err) != apierror.Shutdown {
		t.Error(err)
	}
}

func TestVerdicts(t *testing.T) {
	for name, c := range map[string]struct {
		steps map[string][]step
		row   apierror.Row
		words []string
		retry time.Duration
		no    bool
	}{
		"one failure is told as it was":      {map[string][]step{"1": {fails(apierror.Upstream5xx)}}, apierror.RowUpstream, []string{"a: it says upstream_error"}, 0, false},
		"a login that was refused is no 401": {map[string][]step{"1": {fails(apierror.AuthExpired)}}, apierror.RowOverloaded, []string{"a: no usable account (a-1: it says auth_expired)"}, 0, true},
		"a known time wins":                  {map[string][]step{"1": {fails(apierror.AuthExpired)}, "2": {fails(apierror.RateLimited, in(90*time.Second))}, "3": {fails(apierror.RateLimited, in(60*time.Second))}}, apierror.RowRateLimit, []string{"a-1", "a-2", "a-3"}, 60 * time.Second, false},
		"trouble wins over a person":         {map[string][]step{"1": {fails(apierror.AccountBlocked)}, "2": {fails(apierror.Overloaded)}}, apierror.RowOverloaded, []string{"a-1: it says account_blocked", "a-2: it says overloaded"}, 0, false},
		"a limit of hours is a quota":        {map[string][]step{"1": {fails(apierror.RateLimited, in(2*time.Hour))}}, apierror.RowQuota, []string{"rate_limited"}, 2 * time.Hour, true},
		"a quota is not to be retried":       {map[string][]step{"1": {fails(apierror.QuotaExhausted, in(time.Hour))}}, apierror.RowQuota, []string{"quota_exhausted"}, time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := newRig(t, one("a"), &script{id: "a", policy: provider.Policy{Repeats: -1}, steps: c.steps}).call(nil)
			e := apierror.From(err)
			if e.Row() != c.row || e.RetryAfter != c.retry || e.NoRetry != c.no {
				t.Errorf("%s, after %v, no retry %v: %v", e.Row(), e.RetryAfter, e.NoRetry, e)
			}
			for _, w := range c.words {
				if !strings.Contains(e.Msg, w) {
					t.Errorf("%q does not say %q", e.Msg, w)
				}
			}
		})
	}
}

func TestRestingPoolAnswersAtOnceWithATime(t *testing.T) {
	s := &script{id: "a", steps: map[string][]step{"1": {fails(apierror.RateLimited, in(200*time.Second))}}}
	r := newRig(t, one("a"), s)
	for i := range 2 {
		_, c, err := r.call(nil)
		e := apierror.From(err)
		if e.Row() != apierror.RowRateLimit || e.RetryAfter <= 0 || e.RetryAfter > 200*time.Second {
			t.Errorf("%d: %s after %v: %v", i, e.Row(), e.RetryAfter, e)
		}
		if i == 1 && c.Route().Attempts != 0 {
			t.Error("a resting account was used")
		}
	}
}

func TestSignaturesComeBackToClientsThatCannotCarryThem(t *testing.T) {
	signed := &canon.Response{Parts: []canon.Part{
		{Type: canon.PartReasoning, Text: "plan", Opaque: &canon.Opaque{Family: "claude", Kind: "think", Data: "SIG"}},
		{Type: canon.PartToolCall, CallID: "call_1", Name: "ls", Args: []byte(`{}`)},
	}, Finish: canon.Finish{Reason: canon.FinishTools}, Usage: &canon.Usage{}}
	s := &script{id: "a", steps: map[string][]step{"1": {func(_ context.Context, _ *canon.Request, yield func(canon.Event, error) bool) {
		for ev, err := range signed.Events() {
			if !yield(ev, err) {
				return
			}
		}
	}, ok("done")}}}
	r := newRig(t, []route.Candidate{{Provider: "a", Model: "x", Wire: "anthropic"}}, s)
	if _, _, err := r.call(nil); err != nil {
		t.Fatal(err)
	}
	history := []canon.Message{
		{Role: canon.RoleUser, Parts: []canon.Part{{Type: canon.PartText, Text: "list"}}},
		{Role: canon.RoleAssistant, Parts: []canon.Part{{Type: canon.PartReasoning, Text: "plan, as shown"}, {Type: canon.PartToolCall, CallID: "call_1", Name: "ls", Args: []byte(`{}`)}}},
		{Role: canon.RoleUser, Parts: []canon.Part{{Type: canon.PartToolResult, CallID: "call_1", Result: []canon.Part{{Type: canon.PartText, Text: "a"}}}}},
	}
	req := &canon.Request{Format: "openai", Op: "chat", ModelAsked: "m", Messages: history}
	if _, _, err := r.call(req); err != nil {
		t.Fatal(err)
	}
	got := s.seen[1].Messages[1].Parts
	if len(got) != 2 || got[0].Text != "plan" || got[0].Opaque == nil || got[0].Opaque.Data != "SIG" || got[1].CallID != "call_1" {
		t.Errorf("%+v", got)
	}
	if req.Messages[1].Parts[0].Text != "plan, as shown" {
		t.Error("the client's own request was changed")
	}
}

func TestSignatureStoreByTextAndBounds(t *testing.T) {
	s := newOpaqueStore()
	think := canon.Part{Type: canon.PartReasoning, Text: "t", Opaque: &canon.Opaque{Family: "claude", Data: "S"}}
	chat := &canon.Request{Format: "openai"}
	s.save(chat, []canon.Part{think, {Type: canon.PartText, Text: "hello"}})
	s.save(&canon.Request{Format: "anthropic"}, []canon.Part{think, {Type: canon.PartText, Text: "other"}})
	for text, want := range map[string]int{"hello": 2, "other": 1, "": 1} {
		req := &canon.Request{Format: "openai", Messages: []canon.Message{{Role: canon.RoleAssistant, Parts: []canon.Part{{Type: canon.PartText, Text: text}}}}}
		s.restore(req)
		if n := len(req.Messages[0].Parts); n != want {
			t.Errorf("%q: %d parts", text, n)
		}
	}
	for i := range opaqueEntries + 10 {
		s.save(chat, []canon.Part{think, {Type: canon.PartText, Text: fmt.Sprint(i)}})
	}
	if len(s.byKey) != opaqueEntries || s.order.Len() != opaqueEntries {
		t.Errorf("%d, %d entries", len(s.byKey), s.order.Len())
	}
}

func TestCountAndEmbed(t *testing.T) {
	s := &script{id: "a", wire: "openai", steps: map[string][]step{"1": {fails(apierror.RateLimited)}, "2": {ok("")}}}
	r := newRig(t, one("a"), s)
	n, err := r.gw.CountTokens(t.Context(), &canon.Request{Format: "openai", ModelAsked: "m"}, Caller{})
	if err != nil || n != 42 {
		t.Errorf("%d, %v", n, err)
	}
	text := []canon.Message{{Role: canon.RoleUser, Parts: []canon.Part{{Type: canon.PartText, Text: "eight by"}}}}
	if n, err = r.gw.CountTokens(t.Context(), &canon.Request{Format: "anthropic", ModelAsked: "m", Messages: text}, Caller{}); err != nil || n != 6 {
		t.Errorf("an estimate: %d, %v", n, err)
	}
	out, rt, err := r.gw.Embed(t.Context(), &canon.Embed{Format: "openai", ModelAsked: "m"}, Caller{})
	if err != nil || len(out.Vectors) != 1 || rt.Attempts != 2 || rt.Account != "a-2" {
		t.Errorf("%+v, %+v, %v", out, rt, err)
	}
	if row := r.row(); row.Op != "embeddings" || row.Tokens.Input != 3 {
		t.Errorf("%+v", row)
	}
}

func TestErrorsThatAreNotOursStayInside(t *testing.T) {
	s := &script{id: "a", steps: map[string][]step{"1": {func(_ context.Context, _ *canon.Request, yield func(canon.Event, error) bool) {
		yield(canon.Event{}, errors.New("dial tcp 10.1.2.3: secret"))
	}}}}
	_, _, err := newRig(t, one("a"), s).call(nil)
	if e := apierror.From(err); e.Kind != apierror.Internal || strings.Contains(e.Msg, "10.1.2.3") {
		t.Errorf("%v", err)
	}
}

func TestUsageIsEstimatedWhereNoneCame(t *testing.T) {
	s := &script{id: "a", steps: map[string][]step{"1": {func(_ context.Context, _ *canon.Request, yield func(canon.Event, error) bool) {
		a := answerOf("twelve bytes")
		a.Usage = nil
		for ev, err := range a.Events() {
			if !yield(ev, err) {
				return
			}
		}
	}}}}
	r := newRig(t, one("a"), s)
	var usage *canon.Usage
	for ev, err := range r.gw.Call(&canon.Request{Format: "openai", ModelAsked: "m"}, Caller{}).Stream(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Kind == canon.KindUsage {
			usage = ev.Usage
		}
	}
	if usage == nil || !usage.Estimated || usage.Output != 3 || usage.Input != 1 {
		t.Errorf("%+v", usage)
	}
	if row := r.row(); row.Tokens.Output != 3 || row.Trace[2].Kind != "usage" {
		t.Errorf("%+v", row)
	}
}

// renewing is a script whose login can be renewed: the token with the number n becomes the one with n+1.
type renewing struct {
	*script
	err error
}

func (*renewing) Exchange(context.Context, provider.Env, provider.Grant) (provider.Credential, error) {
	return provider.Credential{}, nil
}

func (r *renewing) Refresh(_ context.Context, _ provider.Env, old provider.Credential) (provider.Credential, error) {
	if r.err != nil {
		return provider.Credential{}, r.err
	}
	next := old.Access.Reveal() + "+"
	return provider.Credential{Access: secret.New(next), Refresh: secret.New("r" + next), Issued: time.Now(), Expiry: time.Now().Add(time.Hour)}, nil
}

func TestRefusedLoginIsRenewedOnce(t *testing.T) {
	refused := fails(apierror.AuthExpired)
	for name, c := range map[string]struct {
		steps map[string][]step
		err   error
		limit int
		kind  apierror.Kind // 0 = it answers
		state account.State
		calls string
	}{
		"good again":     {steps: map[string][]step{"a": {refused}, "a+": {ok("hi")}}, state: account.Ready, calls: "a a+"},
		"no more tries":  {steps: map[string][]step{"a": {refused}, "a+": {ok("hi")}}, limit: 1, state: account.Ready, calls: "a a+"},
		"refused again":  {steps: map[string][]step{"a": {refused}, "a+": {refused}}, kind: apierror.AuthExpired, state: account.NeedsLogin, calls: "a a+"},
		"login over":     {steps: map[string][]step{"a": {refused}}, err: apierror.New(apierror.AuthExpired, "over: sign in again"), kind: apierror.AuthExpired, state: account.NeedsLogin, calls: "a"},
		"line down":      {steps: map[string][]step{"a": {refused}}, err: apierror.New(apierror.Transport, "the line is down"), kind: apierror.Transport, state: account.Ready, calls: "a"},
		"and then other": {steps: map[string][]step{"a": {refused}, "a+": {fails(apierror.Overloaded), ok("hi")}}, state: account.Ready, calls: "a a+ a+"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &script{id: "a", steps: c.steps}
			r := newRig(t, one("a"), s)
			r.drivers = map[string]provider.Driver{"a": &renewing{s, c.err}}
			if c.limit > 0 {
				r.limits.Attempts = c.limit
			}
			st, _, err := r.pools.SignIn(t.Context(), account.SignIn{Provider: "a", Login: "browser", Credential: provider.Credential{
				Access: secret.New("a"), Refresh: secret.New("ra"), Issued: time.Now(), Expiry: time.Now().Add(time.Hour),
			}})
			if err != nil {
				t.Fatal(err)
			}
			text, _, err := r.call(nil)
			if c.kind == 0 && (err != nil || text != "hi") {
				t.Errorf("%q %v", text, err)
			}
			if c.kind != 0 && apierror.KindOf(err) != c.kind {
				t.Error(err)
			}
			if got := strings.Join(s.calls, " "); got != c.calls {
				t.Errorf("calls %q, want %q", got, c.calls)
			}
			if st, _ = r.pools.Get(st.ID); st.State != c.state {
				t.Error(st.State, st.Reason)
			}
		})
	}
}

func TestSideCallsRenewToo(t *testing.T) {
	s := &script{id: "a", steps: map[string][]step{"a": {fails(apierror.AuthExpired)}, "a+": {ok("")}}}
	r := newRig(t, one("a"), s)
	r.drivers = map[string]provider.Driver{"a": &renewing{script: s}}
	_, _, err := r.pools.SignIn(t.Context(), account.SignIn{Provider: "a", Login: "browser", Credential: provider.Credential{
		Access: secret.New("a"), Refresh: secret.New("ra"), Issued: time.Now(), Expiry: time.Now().Add(time.Hour),
	}})
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := r.gw.Embed(t.Context(), &canon.Embed{Format: "openai", ModelAsked: "m"}, Caller{})
	if err != nil || len(out.Vectors) != 1 {
		t.Error(out, err)
	}
	s.steps["a+"] = []step{fails(apierror.AuthExpired)}
	r.drivers["a"].(*renewing).err = apierror.New(apierror.Transport, "the line is down")
	if _, _, err = r.gw.Embed(t.Context(), &canon.Embed{Format: "openai", ModelAsked: "m"}, Caller{}); apierror.KindOf(err) != apierror.Transport {
		t.Error(err)
	}
}
