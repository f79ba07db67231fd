// Package gateway owns the attempt loop: it takes a client's request through its plan, account by account, until one
// answers, and hands the answer on as one stream. It owns no account, no route and no wire format.
//
// Nothing is retried once content has gone to the client. What a failure does next stands in the table of package
// apierror and nowhere else.
package gateway

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"patchbay/backend/account"
	"patchbay/backend/canon"
	"patchbay/backend/clientkey"
	"patchbay/backend/provider"
	"patchbay/backend/record"
	"patchbay/backend/route"
	"patchbay/backend/trace"
	"patchbay/backend/wire"
)

// Limits bound the work for one request.
type Limits struct {
	Attempts int // in all
	Accounts int // per candidate
	// Time limits of one attempt; 0 = none.
	FirstEvent time.Duration // until the upstream's first sign of life
	Whole      time.Duration // the same for a client that wants no stream: the answer comes in one piece
	Total      time.Duration // until the end of the answer
}

// Default limits.
const (
	DefaultAttempts = 8
	DefaultAccounts = 4
)

// queueWait is how long a request waits for an account that is at its limit of calls. An app that sends its next request the
// moment an answer ends would be refused without it, and one that sends a few at once as well.
const queueWait = 10 * time.Second

// Planner decides where a request may go.
type Planner interface {
	Plan(ctx context.Context, q route.Query) (route.Plan, error)
}

// Accounts hands out accounts.
type Accounts interface {
	Acquire(ctx context.Context, q account.Query) (*account.Lease, error)
	// Considered lists the accounts of a provider in the order of a choice, at most limit of them (0 = all), and says how many
	// more there are.
	Considered(q account.Query, limit int) (_ []account.Considered, more int)
	// Find returns the account that a person means by an id, provider/name or name.
	Find(ref string) (id, provider string, err error)
	// Nobody is the error of a choice that finds no account.
	Nobody(q account.Query) error
}

// Log takes requests: Begin shows one as running with what is known of it, now completes that at any time and from any
// goroutine, and the returned function ends it with its row. Changed says that a running one went on.
type Log interface {
	Begin(r record.Row, now func(*record.Row)) (end func(record.Row))
	Changed(id string)
}

// Keys counts what is done with client keys: Enter lets a request of one in, or says why it must wait. The context it returns
// ends when the key is revoked; done must be called once.
type Keys interface {
	Enter(ctx context.Context, id string) (_ context.Context, done func(tokens int64), err error)
}

// Prompts tells what is to be done with the system text of a request, nil for nothing, and what the trace says of it.
type Prompts interface {
	Edit(provider, keyID, keyName string) (*wire.SystemEdit, []string)
}

// Gateway answers requests. It is safe for concurrent use.
type Gateway struct {
	plan     Planner
	accounts Accounts
	keys     Keys
	prompts  Prompts
	editors  map[string]wire.SystemEditor
	record   Log
	limits   func(providerID string) Limits
	policy   func(providerID string) provider.Policy
	paused   func() bool
	thinking func(providerID string) Thinking
	log      *slog.Logger
	opaque   *opaqueStore
	recent   recent
}

// Options are what a Gateway needs.
type Options struct {
	Planner  Planner
	Accounts Accounts
	Keys     Keys                         // nil counts nothing
	Prompts  Prompts                      // nil changes nothing
	Editors  map[string]wire.SystemEditor // by wire format
	Log      Log
	// Limits and Policy return what holds for a provider now; they may change at run time.
	Limits func(providerID string) Limits
	Policy func(providerID string) provider.Policy
	Paused func() bool // whether new calls are refused; nil = never
	Logger *slog.Logger
	// Thinking returns how much the models of a provider think by the person's word; nil = as requests say.
	Thinking func(providerID string) Thinking
}

// New returns a Gateway.
func New(o Options) *Gateway {
	return &Gateway{plan: o.Planner, accounts: o.Accounts, keys: o.Keys, prompts: o.Prompts, editors: o.Editors, record: o.Log, limits: o.Limits, policy: o.Policy, thinking: o.Thinking, paused: o.Paused, log: o.Logger, opaque: newOpaqueStore()}
}

// Caller says who asks and how.
type Caller struct {
	RequestID      string
	KeyID, KeyName string            // of the client key
	PathProvider   string            // from the path, "" if it named none
	HeaderProvider string            // from a header
	Account        string            // that a header pins: an id, provider/name or name; "" = any
	Tags           []string          // that a header asks for
	Limits         *clientkey.Limits // of the client key; nil = none
	ReplayOf       string            // id of a request that is sent again
	Own            bool              // Patchbay's own page asks: KeyID is a name for the log, no client key
}

// Route tells which way a request takes: what stands in the headers of the answer.
type Route struct {
	Provider, Account, Model string // Account is its label
	AccountID                string
	Attempts                 int
	Dropped                  []canon.Warning
}

// Call is one request of a client on its way.
type Call struct {
	g        *Gateway
	req      *canon.Request
	caller   Caller
	pinned   string // id of the only account that may serve, "" = any
	pinnedTo string // its provider
	begun    time.Time
	end      func(record.Row)

	mu    sync.Mutex // guards route
	route Route

	held     []canon.Warning // what the person's words took from the request of the candidate
	sent     *canon.Request  // what the upstream gets; nil once the answer has begun
	trace    trace.Log
	failures []failure
	left     []trace.Step // steps of the chain that were passed over
	usage    canon.Usage
	finish   canon.Finish
	first    time.Time    // when the first content came
	status   int          // of an answer that passed through as it was; 0 = 200
	outBytes atomic.Int64 // of visible output, for an estimate where no usage comes
	begins   atomic.Int64 // when the first content came, in Unix nanoseconds, for those who look on
	prompt   int64        // estimated tokens of the prompt, -1 = it was never read
}

// Call prepares a request. Nothing is sent before its Stream is read.
func (g *Gateway) Call(req *canon.Request, caller Caller) *Call {
	now := time.Now()
	return &Call{g: g, req: req, caller: caller, begun: now, trace: trace.New(now), usage: canon.UnknownUsage(), prompt: -1}
}

// Route returns the way taken so far. It may be called from any goroutine.
func (c *Call) Route() Route {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.route
}

func (c *Call) setRoute(f func(*Route)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.route)
}
