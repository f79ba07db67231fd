// Package backend is the only place where the rooms are wired together: it opens the store, the vault, the accounts, the
// router and the gateway, serves them, and closes them in the right order. It decides nothing by itself.
package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"patchbay/backend/account"
	"patchbay/backend/api"
	"patchbay/backend/canon"
	"patchbay/backend/clientkey"
	"patchbay/backend/config"
	"patchbay/backend/credfile"
	"patchbay/backend/events"
	"patchbay/backend/gateway"
	"patchbay/backend/logging"
	"patchbay/backend/oauth"
	"patchbay/backend/preset"
	"patchbay/backend/prompt"
	"patchbay/backend/provider"
	"patchbay/backend/record"
	"patchbay/backend/route"
	"patchbay/backend/secret"
	"patchbay/backend/server"
	"patchbay/backend/session"
	"patchbay/backend/store"
	"patchbay/backend/transport"
	"patchbay/backend/update"
)

// Options say what to open.
type Options struct {
	Paths   config.Paths
	Flags   map[string]string // settings by key, from the command line
	Env     []string          // nil = the process's own
	Version string
	Stderr  io.Writer         // log lines for people; nil = none
	Ready   func(base string) // called once it listens; may be nil
	Grace   time.Duration     // how long streams may go on when Run ends; 0 = DefaultGrace
	Ring    secret.Ring       // the keychain; nil = none, as in tests
	Page    fs.FS             // the files of the page; nil = there is none

	UpdateKey, UpdateURL string // instead of the publisher's, for tests
}

// Backend is the whole program but for its user interfaces. Open makes it, Run serves, Close ends it.
type Backend struct {
	o        Options
	lock     *Lock
	settings *config.Settings
	log      *logging.Log
	bus      *events.Bus
	db       *store.DB
	vault    *secret.Vault
	keys     *clientkey.Keys
	clients  *transport.Clients
	accounts *account.Pools
	logins   *oauth.Logins
	files    *credfile.Files
	router   *route.Router
	record   *record.Log
	bodies   *record.Bodies
	prompts  *prompt.Rules
	updates  *update.Checker
	gateway  *gateway.Gateway
	server   *server.Server
	sessions *session.Sessions
	stopping chan struct{} // closed when Run ends
	token    secret.Value
	started  time.Time
	dbNote   string        // what the store said about a file it could not read
	moved    chan struct{} // the setting server.listen may have changed
	look     chan struct{} // the vault may have changed
	moved2   chan struct{} // the settings of the Ollama listener may have changed
	offers   atomic.Pointer[[]offered]
	presets  atomic.Pointer[preset.Set]
	prices   atomic.Pointer[record.Prices]
	// proxyLogins are the proxies of the settings with their passwords, secret.Value by key, as the vault has them.
	proxyLogins sync.Map
	pricesAt    atomic.Int64 // when the person's file of prices was changed

	paused    atomic.Bool // the person wants no requests to be answered
	importing sync.Mutex  // held over an import

	mu       sync.Mutex // guards what follows
	base     string     // where it listens, "" before
	listener net.Listener
	second   second
	firstKey secret.Value
	quit     context.CancelFunc // ends Run; nil while it does not run
	desktop  Desktop            // nil without one
}

// Open opens everything and listens nowhere yet. Only one Backend can be open per folder: ErrRunning otherwise.
func Open(ctx context.Context, o Options) (b *Backend, err error) {
	if o.Env == nil {
		o.Env = os.Environ()
	}
	if o.Grace <= 0 {
		o.Grace = DefaultGrace
	}
	b = &Backend{o: o, bus: &events.Bus{}, token: NewToken(), started: time.Now(), stopping: make(chan struct{}), moved: make(chan struct{}, 1), moved2: make(chan struct{}, 1), look: make(chan struct{}, 1)}
	opening := b // a failure returns nil, but what is open must be closed
	defer func() {
		if err != nil {
			_ = opening.Close() // the first error is the one to tell
		}
	}()
	if b.lock, err = TakeLock(ctx, o.Paths); err != nil {
		return nil, err
	}
	if err = b.openSettings(); err != nil {
		return nil, err
	}
	if err = b.openStore(ctx); err != nil {
		return nil, err
	}
	if err = b.openAccounts(ctx); err != nil {
		return nil, err
	}
	b.openFront()
	if err = b.openUpdates(ctx); err != nil {
		return nil, err
	}
	b.setPools(b.settings.Current())
	b.settings.Subscribe(config.Subscriber{Verify: b.verify, Commit: b.settingsChanged})
	return b, nil
}

func (b *Backend) openSettings() (err error) {
	ids := make([]string, len(providers))
	for i, d := range providers {
		ids[i] = d.Info().ID
	}
	early := slog.New(slog.DiscardHandler) // what is wrong with the settings is told by Problem and by the error
	b.settings, err = config.Load(config.Options{
		Path: b.o.Paths.Config, LastGood: b.o.Paths.LastGood(), Env: b.o.Env, Flags: b.o.Flags, Builtin: ids, Bus: b.bus, Log: early,
	})
	if err != nil {
		return err
	}
	cfg := b.settings.Current()
	presetErr := b.readPresets()
	if err := b.verify(nil, cfg); err != nil {
		return errors.Join(err, presetErr) // a preset may be missing because its file cannot be read
	}
	b.setOffers(cfg)
	b.log, err = logging.New(logging.Options{
		Text: b.o.Stderr, Dir: b.o.Paths.State, MaxBytes: int64(cfg.Log.MaxSize), MaxFiles: cfg.Log.MaxFiles,
		Level: cfg.Log.Level, Packages: cfg.Log.Packages,
	})
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	if p := b.settings.Problem(); p != nil {
		b.log.Logger().Error("The settings file cannot be read; the last good settings are in force", "err", p.Err)
	}
	if presetErr != nil {
		b.log.Logger().Error("The file of your presets cannot be read; those that come with Patchbay are in force", "err", presetErr)
	}
	for _, name := range b.settings.Unknown() {
		b.log.Logger().Warn("An environment variable names no setting", "name", name)
	}
	return nil
}

// readPresets takes up the presets of this version and those of the person's file.
func (b *Backend) readPresets() error {
	set, err := preset.Load(b.o.Paths.Presets())
	b.presets.Store(set)
	return err
}

// verify refuses settings that this version cannot carry out. Addresses are looked at when they change: at start a wrong
// one must not keep everything else from working.
func (b *Backend) verify(old, cfg *config.Config) error {
	builtin := map[string]bool{}
	for _, d := range providers {
		builtin[d.Info().ID] = true
	}
	for _, id := range slices.Sorted(maps.Keys(cfg.Providers)) {
		p := cfg.Providers[id]
		if !builtin[id] {
			if err := b.verifyOwn("providers."+id, p); err != nil {
				return err
			}
		}
		if old != nil && loopsBack(p.BaseURL, ownAddresses(cfg)) {
			return &config.Error{Key: "providers." + id + ".base_url", Msg: p.BaseURL + " is Patchbay's own address: requests would go round in circles; give the address of the service"}
		}
	}
	return nil
}

// verifyOwn checks a provider that a person added.
func (b *Backend) verifyOwn(key string, p config.Provider) error {
	kind := p.Kind
	if p.Preset != "" {
		pre, err := b.usablePreset(p.Preset)
		if err != nil {
			return &config.Error{Key: key + ".preset", Msg: err.Error()}
		}
		if pre.BaseURL == "" && p.BaseURL == "" {
			return &config.Error{Key: key + ".base_url", Msg: "this is missing: the preset " + p.Preset + " needs your own address, for example " + pre.Example}
		}
		return nil
	}
	if _, ok := kinds[kind]; !ok {
		return &config.Error{Key: key + ".kind", Msg: fmt.Sprintf("the kind %q is not served by this version; %s are", kind, strings.Join(servedKinds(), ", "))}
	}
	return nil
}

// usablePreset returns a preset whose kind this version serves.
func (b *Backend) usablePreset(id string) (preset.Preset, error) {
	set := b.presets.Load()
	pre, ok := set.Get(id)
	if !ok {
		if err := b.readPresets(); err != nil { // it may have been written just now
			return preset.Preset{}, fmt.Errorf("there is no preset %q: %w", id, err)
		}
		if pre, ok = b.presets.Load().Get(id); !ok {
			return preset.Preset{}, fmt.Errorf("there is no preset %q; `patchbay providers presets` lists them", id)
		}
	}
	if _, ok := kinds[pre.Kind]; !ok {
		return preset.Preset{}, fmt.Errorf("the preset %s is of kind %q, which this version does not serve; %s are", id, pre.Kind, strings.Join(servedKinds(), ", "))
	}
	return pre, nil
}

func servedKinds() []string {
	return slices.DeleteFunc(slices.Clone(config.Kinds), func(k string) bool { return kinds[k] == nil })
}

func (b *Backend) openStore(ctx context.Context) (err error) {
	if b.settings.Current().Database != "" {
		return errors.New("database: this version keeps its rows in the embedded database only; leave the setting out")
	}
	path := b.o.Paths.Database()
	if err = os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("making the folder of the database: %w", err)
	}
	if b.db, b.dbNote, err = store.Open(ctx, path); err != nil {
		return fmt.Errorf("opening the database: %w", err)
	}
	if b.dbNote != "" {
		b.log.Logger().Error("The database could not be read", "note", b.dbNote)
	}
	places, err := secret.Places(b.getenv, b.o.Paths.Data, b.o.Ring)
	if err != nil {
		return err
	}
	b.vault = secret.NewVault(b.db, places...)
	if b.sessions, err = session.Open(ctx, b.db); err != nil {
		return err
	}
	b.keys, err = clientkey.Open(ctx, b.db)
	return err
}

// getenv reads the environment that Open was given.
func (b *Backend) getenv(name string) string {
	for i := len(b.o.Env) - 1; i >= 0; i-- {
		if e := b.o.Env[i]; len(e) > len(name) && e[len(name)] == '=' && e[:len(name)] == name {
			return e[len(name)+1:]
		}
	}
	return ""
}

func (b *Backend) openAccounts(ctx context.Context) (err error) {
	b.clients = transport.NewClients(transport.Options{Version: b.o.Version, Connect: func() time.Duration { return b.settings.Current().Timeouts.Connect }})
	b.accounts, err = account.New(ctx, account.Needs{
		Store: b.db, Secrets: b.vault, Bus: b.bus, Log: b.log.For("account"), Driver: b.driver, HTTP: b.client,
		On: func(id string) bool {
			o, ok := b.offered(id)
			return ok && o.enabled
		},
		Reread: func(ctx context.Context, a account.Account) (provider.Credential, error) {
			return b.files.Reread(ctx, a)
		},
	})
	if err == nil {
		b.openLogins()
		b.openFiles()
	}
	return err
}

// driver looks a provider up for an account.
func (b *Backend) driver(id string) (provider.Driver, map[string]string, error) {
	for _, o := range *b.offers.Load() {
		if o.info.ID == id {
			return o.driver, o.settings, nil
		}
	}
	return nil, nil, fmt.Errorf("there is no provider %q", id)
}

type failing struct{ err error }

func (f failing) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close() // a RoundTripper must
	}
	return nil, f.err
}

func (b *Backend) openFront() {
	b.router = route.New(route.Options{
		Providers:   func() []route.Provider { return routed(*b.offers.Load(), b.settings.Current()) },
		Settings:    b.routing,
		HasAccounts: b.accounts.HasAccounts,
		Assumed:     func(id string) (int64, int64) { return b.presets.Load().Assumed(id) },
		List: func(ctx context.Context, id string) ([]canon.Model, error) {
			return b.models(ctx, id), nil
		},
		Known: b.knownModel,
		Bus:   b.bus,
	})
	cfg := b.settings.Current()
	b.openRecord(cfg)
	b.prompts = prompt.New(b.log.For("prompt"))
	b.setPrompts(cfg)
	b.gateway = gateway.New(gateway.Options{
		Planner: b.router, Accounts: b.accounts, Keys: b.keys, Prompts: b.prompts, Editors: editors(), Log: b.record, Limits: b.limits, Policy: b.policy, Thinking: b.thinking, Paused: b.paused.Load, Logger: b.log.For("gateway"),
	})
	b.server = server.New(b.serverOptions())
}

func (b *Backend) serverOptions() server.Options {
	return server.Options{
		Codecs: protocols, Gateway: b.gateway, Bodies: b.bodies, Keys: b.keys, Models: b.router, Settings: b.serverSettings,
		API: api.Handler(b, api.Options{
			Token: func() string { return b.token.Reveal() }, Sessions: b.sessions, Bus: b.bus, Base: b.Base, Done: b.stopping,
		}),
		UI: b.page(), Session: b.pageKey, Health: b.health, Metrics: b.metrics, Logger: b.log.For("server"),
		HeadTime: b.settings.Current().Server.Limits.HeaderTimeout,
	}
}

func (b *Backend) limits(id string) gateway.Limits {
	cfg := b.settings.Current()
	t, own := cfg.TimeoutsFor(id), cfg.Providers[id].Timeouts
	l := gateway.Limits{Attempts: cfg.Routing.MaxAttempts, Accounts: gateway.DefaultAccounts, FirstEvent: t.FirstEvent, Whole: t.OnePiece, Total: t.Total}
	if l.Attempts <= 0 {
		l.Attempts = gateway.DefaultAttempts
	}
	if own.FirstEvent == 0 && l.FirstEvent != 0 {
		l.FirstEvent = max(l.FirstEvent, b.policy(id).FirstEvent) // some services need longer than others, unless the person knows better
	}
	if own.OnePiece == 0 && t.OnePiece == config.Default().Timeouts.OnePiece && l.FirstEvent > l.Whole {
		l.Whole = l.FirstEvent // who waits so long for a first word waits as long for all of them
	}
	return l
}

func (b *Backend) policy(id string) provider.Policy {
	for _, o := range *b.offers.Load() {
		if o.info.ID == id {
			return o.info.Policy
		}
	}
	return provider.Policy{}
}

func (b *Backend) serverSettings() server.Settings {
	cfg := b.settings.Current()
	return server.Settings{
		Guard:     server.Guard{LAN: cfg.Server.LAN, AllowedHosts: cfg.Server.AllowedHosts, AllowedOrigins: cfg.Server.AllowedOrigins},
		BodyLimit: int64(cfg.Server.Limits.BodyBytes), BodyTime: cfg.Server.Limits.ReadTimeout, KeepAlive: cfg.Timeouts.KeepAlive,
	}
}

func (b *Backend) setOffers(cfg *config.Config) {
	list := offers(cfg, b.presets.Load())
	b.offers.Store(&list)
}

// settingsChanged takes new settings up. Running requests end as they began.
func (b *Backend) settingsChanged(_, cfg *config.Config) {
	if err := b.readPresets(); err != nil {
		b.log.Logger().Error("The file of your presets cannot be read; those that come with Patchbay are in force", "err", err)
	}
	b.setOffers(cfg)
	for _, o := range *b.offers.Load() {
		b.accounts.Reopen(o.info.ID)
	}
	if err := b.log.SetLevels(cfg.Log.Level, cfg.Log.Packages); err != nil {
		b.log.Logger().Warn("The log levels cannot be set", "err", err)
	}
	b.setPools(cfg)
	b.setPrompts(cfg)
	b.readPrices()
	b.record.SetRetention(retention(cfg))
	b.bodies.Set(bodyOptions(cfg))
	b.router.Rebuild()
	b.files.Refresh()
	for _, moved := range []chan struct{}{b.moved, b.moved2} {
		select {
		case moved <- struct{}{}:
		default: // it is told already
		}
	}
	b.log.Logger().Info("Settings changed")
}

// Run serves until ctx ends, Quit is called or something fails for good. After a *PortTaken it may be called again.
func (b *Backend) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := b.listen(ctx); err != nil {
		return err
	}
	b.mu.Lock()
	b.quit = cancel
	b.mu.Unlock()
	first, made, err := b.keys.First(ctx, "first")
	if err != nil {
		return fmt.Errorf("making the first client key: %w", err)
	}
	if made {
		b.mu.Lock()
		b.firstKey = first
		b.mu.Unlock()
	}
	// What writes outlives what asks for writing: these jobs end after the listener has.
	late, stopLate := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLate()
	var writers errgroup.Group
	writers.Go(func() error { return b.record.Run(late) })
	writers.Go(func() error { return b.bodies.Run(late) })
	writers.Go(func() error { return b.keys.Run(late) })
	writers.Go(func() error { return b.accounts.Run(late) })

	jobs, jctx := errgroup.WithContext(ctx)
	jobs.Go(func() error { return b.settings.Run(jctx) })
	jobs.Go(func() error { return b.watchLists(jctx) })
	jobs.Go(func() error { return b.prompts.Run(jctx) })
	jobs.Go(func() error { return b.tellLogs(jctx) })
	looked := make(chan struct{})
	jobs.Go(func() error { return b.watchVault(jctx, looked) })
	jobs.Go(func() error { return b.accounts.RunRefresh(jctx) })
	jobs.Go(func() error { return b.accounts.RunChecks(jctx) })
	jobs.Go(func() error { return b.files.Run(jctx) })
	jobs.Go(func() error { return b.updates.Run(jctx, b.wantsUpdates, b.updateFound) })
	select { // whoever asks first hears how the vault stands, unless a keychain waits for its person
	case <-looked:
	case <-time.After(vaultHeadStart):
	case <-jctx.Done():
	}
	jobs.Go(func() error { return b.serve(jctx) })
	jobs.Go(func() error { return b.serveOllama(jctx) })
	if b.o.Ready != nil {
		b.o.Ready(b.Base())
	}
	err = jobs.Wait()
	stopLate()
	return errors.Join(notCanceled(err), notCanceled(writers.Wait()))
}

func notCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Base returns the address that apps use, "" before Run listens.
func (b *Backend) Base() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.base
}

// FirstKey returns the client key that was made because there was none. It is kept only as long as the process lives.
func (b *Backend) FirstKey() (secret.Value, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.firstKey, !b.firstKey.Empty()
}

// Close ends what Open opened. Run must have returned.
func (b *Backend) Close() error {
	var errs []error
	if b.logins != nil {
		b.logins.Close()
	}
	if b.accounts != nil {
		b.accounts.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		errs = append(errs, b.accounts.Flush(ctx))
	}
	if b.record != nil {
		errs = append(errs, b.record.Flush(context.Background())) // it has a limit of its own
	}
	if b.clients != nil {
		b.clients.CloseIdle()
	}
	if b.db != nil {
		errs = append(errs, b.db.Close())
	}
	if b.log != nil {
		errs = append(errs, b.log.Close())
	}
	if b.lock != nil {
		errs = append(errs, b.lock.Release())
	}
	return errors.Join(errs...)
}
