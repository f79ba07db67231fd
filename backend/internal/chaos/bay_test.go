package chaos

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"patchbay/backend/account"
	"patchbay/backend/canon"
	"patchbay/backend/clientkey"
	"patchbay/backend/events"
	"patchbay/backend/gateway"
	"patchbay/backend/provider"
	"patchbay/backend/record"
	"patchbay/backend/route"
	"patchbay/backend/secret"
	"patchbay/backend/server"
	"patchbay/backend/store"
	"patchbay/backend/wire"
	"patchbay/backend/wire/anthropic"
	"patchbay/backend/wire/gemini"
	"patchbay/backend/wire/ollama"
	"patchbay/backend/wire/openai"
	"patchbay/backend/wire/responses"
)

// bay is one run of Patchbay, wired as package backend does it but for the listener, over a database that outlives it.
type bay struct {
	world    *world
	dir      string
	db       *store.DB
	accounts *account.Pools
	gateway  *gateway.Gateway
	record   *record.Log
	keys     *clientkey.Keys
	server   *server.Server
	log      *logs
	killed   bool          // it ends as by kill -9
	live     chan struct{} // closed when rows are to be written as they come

	base    context.Context //nolint:containedctx // of all requests: it ends with the run
	end     context.CancelCauseFunc
	clients sync.WaitGroup // requests under way
	jobs    sync.WaitGroup
	stop    context.CancelFunc
}

// logs is what the program logged.
type logs struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

var vaultKey = secret.EnvKey{Text: secret.New("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")}

// Time limits of an attempt here.
const (
	firstEvent = 30 * time.Second
	idle       = time.Minute
	total      = 10 * time.Minute
)

// openBay starts Patchbay over the database in dir.
func openBay(t testing.TB, w *world, dir string) *bay {
	t.Helper()
	b := &bay{world: w, dir: dir, log: w.log, live: make(chan struct{})}
	var warning string
	var err error
	if b.db, warning, err = store.Open(t.Context(), filepath.Join(dir, "patchbay.db")); err != nil || warning != "" {
		t.Fatal(warning, err)
	}
	log := slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	bus := &events.Bus{}
	if b.keys, err = clientkey.Open(t.Context(), b.db); err != nil {
		t.Fatal(err)
	}
	b.accounts, err = account.New(t.Context(), account.Needs{
		Store: b.db, Secrets: secret.NewVault(b.db, vaultKey), Bus: bus, Log: log,
		Driver: w.driver,
		HTTP:   func(_, proxy string) *http.Client { return &http.Client{Transport: line{world: w, proxy: proxy}} },
	})
	if err != nil {
		t.Fatal(err)
	}
	for id := range services {
		strategies := account.Strategies
		if *strategyFlag != "" {
			strategies = []account.Strategy{account.Strategy(*strategyFlag)}
		}
		b.accounts.Configure(id, account.PoolSettings{Strategy: strategies[w.dice("strategy ", id).IntN(len(strategies))]})
	}
	router := route.New(route.Options{
		Providers: w.routed, Settings: func() route.Settings { return route.Settings{Chains: w.chains} }, HasAccounts: b.accounts.HasAccounts,
		List: func(_ context.Context, id string) ([]canon.Model, error) { return w.models(id), nil }, Bus: bus,
	})
	router.Refresh(t.Context())
	b.record = record.NewLog(b.db, bus, log, record.Options{Age: 10_000 * time.Hour, Rows: 10_000_000})
	b.gateway = gateway.New(gateway.Options{
		Planner: router, Accounts: b.accounts, Keys: b.keys, Log: b.record, Logger: log,
		Limits: func(string) gateway.Limits {
			return gateway.Limits{Attempts: gateway.DefaultAttempts, Accounts: gateway.DefaultAccounts, FirstEvent: firstEvent, Whole: firstEvent, Total: total}
		},
		Policy: func(id string) provider.Policy {
			d, _, err := w.driver(id)
			if err != nil {
				return provider.Policy{}
			}
			return d.Info().Policy
		},
	})
	b.server = server.New(server.Options{
		Codecs:  []wire.Codec{openai.Codec{}, anthropic.Codec{}, gemini.Codec{}, responses.Codec{}, ollama.Codec{}},
		Gateway: b.gateway, Keys: b.keys, Models: router, Logger: log,
		Settings: func() server.Settings { return server.Settings{BodyLimit: 1 << 20} },
	})
	b.base, b.end = context.WithCancelCause(context.WithoutCancel(t.Context()))
	jobs, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	b.stop = stop
	for _, job := range []func(context.Context) error{b.writeRows, b.accounts.Run, b.accounts.RunRefresh} {
		b.jobs.Go(func() { _ = job(jobs) }) // it ends with stop, with the context's error
	}
	return b
}

// writeRows writes the request log: now and then, so that a hundred thousand rows take seconds, and as the program does once
// live is closed.
func (b *bay) writeRows(ctx context.Context) error {
	every := time.NewTicker(time.Minute)
	defer every.Stop()
	for {
		select {
		case <-every.C:
			b.flushRows(ctx)
		case <-b.live:
			return b.record.Run(ctx)
		case <-ctx.Done():
			return b.record.Run(ctx)
		}
	}
}

// flushRows writes the rows that wait.
func (b *bay) flushRows(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	_ = b.record.Run(ctx) // it writes what waits, and ends with the context
}

// close ends the run: what is under way ends as it does when the program stops.
func (b *bay) close(t testing.TB) {
	t.Helper()
	b.end(gateway.ErrShutdown)
	b.clients.Wait()
	b.stop()
	b.jobs.Wait()
	b.accounts.Close()
	if err := b.accounts.Flush(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
	if err := b.db.Close(); err != nil {
		t.Error(err)
	}
}

// snapshot copies the database as a machine finds it whose program was killed at this instant.
func (b *bay) snapshot(t testing.TB, dir string) {
	t.Helper()
	for _, name := range []string{"patchbay.db", "patchbay.db-wal"} {
		data, err := os.ReadFile(filepath.Join(b.dir, name))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// rows reads the whole request log, by id.
func (b *bay) rows(t testing.TB) map[string]record.Row {
	t.Helper()
	out := map[string]record.Row{}
	for before := ""; ; {
		list, err := b.record.Latest(t.Context(), record.Filter{Limit: 1000, BeforeID: before})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			out[r.ID] = r
			before = r.ID
		}
		if len(list) == 0 {
			return out
		}
	}
}
