// Package route decides where a request may go: it knows the providers' names, their model lists, aliases, the default
// provider and the fallback chains, and makes a Plan of them. It owns the default provider and the index over the model
// lists; it opens no account and sends nothing.
package route

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/events"
	"patchbay/backend/provider"
)

// Provider is what the router knows of one upstream service.
type Provider struct {
	ID, Name string
	Aliases  []string // old ids in paths and prefixes
	Labels   []string // labels of "[Label] model" names, besides Name
	Wire     string   // wire format it speaks
	Priority int      // lower comes first where several list a model
	Enabled  bool
	Raw      bool              // it passes requests on as they are: paths and headers lead there, models never do
	Models   map[string]string // the person's own names for its models
}

// Settings are the person's rules.
type Settings struct {
	Default string              // provider id, may be empty
	Aliases map[string]string   // name, or beginning of names ending in "*" -> "provider/model" or "model"
	Chains  map[string][]string // provider, or provider/model -> where to go when it has no usable account
	// ModelFallback says where a model goes when neither its provider nor that one's chain can serve it: name, or pattern with
	// *, to provider/model.
	ModelFallback map[string][]string
	Hidden        []string // patterns of models, or of provider/model, that no list shows
}

// Options are what a Router needs. The functions may be called at any time and from any goroutine.
type Options struct {
	Providers   func() []Provider
	Settings    func() Settings
	HasAccounts func(provider string) bool
	// List returns the models of a provider: live, or the last good or built-in list when the service does not answer.
	List func(ctx context.Context, provider string) ([]canon.Model, error)
	// Assumed tells the usual context and output of a model whose list says nothing of them, 0 if it cannot. It is shown
	// and decides nothing. May be nil.
	Assumed func(model string) (context, output int64)
	// Known tells what is known of a model by its name alone, for what its list does not say. May be nil.
	Known func(model string) canon.Model
	Bus   *events.Bus
}

// Router makes plans. It is safe for concurrent use.
type Router struct {
	o     Options
	index atomic.Pointer[index]
	lists atomic.Pointer[map[string][]canon.Model]
	ready chan struct{} // closed after the first round of lists
	once  sync.Once

	mu  sync.Mutex // guards def
	def string     // chosen at run time; "" = as the settings say
}

// New returns a Router. Rebuild and Refresh fill it.
func New(o Options) *Router {
	r := &Router{o: o, ready: make(chan struct{})}
	r.lists.Store(&map[string][]canon.Model{})
	r.Rebuild()
	return r
}

// Default returns the default provider: the one chosen at run time, else that of the settings, else the first by priority
// that has an account, else "".
func (r *Router) Default() string {
	r.mu.Lock()
	def := r.def
	r.mu.Unlock()
	if def != "" {
		return def
	}
	if d := r.o.Settings().Default; d != "" {
		return d
	}
	for _, p := range r.index.Load().providers {
		if p.Enabled && !p.Raw && r.o.HasAccounts(p.ID) {
			return p.ID
		}
	}
	return ""
}

// SetDefault switches the default provider. It takes effect with the next request.
func (r *Router) SetDefault(id string) error {
	if p := r.index.Load().provider(id); p == nil || !p.Enabled {
		return apierror.Invalid("default_provider", "there is no provider %q that is turned on", id)
	}
	r.mu.Lock()
	r.def = id
	r.mu.Unlock()
	r.o.Bus.Publish(events.Route, id, nil)
	return nil
}

// Refresh reads the model lists of all providers that have accounts, then rebuilds the index.
func (r *Router) Refresh(ctx context.Context) {
	var mu sync.Mutex // guards lists
	lists := map[string][]canon.Model{}
	var wg sync.WaitGroup
	for _, p := range r.o.Providers() {
		if !p.Enabled || !r.o.HasAccounts(p.ID) {
			continue
		}
		wg.Go(func() { // ends with the list call, which ctx bounds
			models, err := r.o.List(ctx, p.ID)
			if err != nil {
				models = (*r.lists.Load())[p.ID] // the last good one
			}
			mu.Lock()
			defer mu.Unlock()
			lists[p.ID] = models
		})
	}
	wg.Wait()
	r.lists.Store(&lists)
	r.Rebuild()
	r.once.Do(func() { close(r.ready) })
	r.o.Bus.Publish(events.Route, "", nil)
}

// Rebuild makes the index anew from the settings and the lists already read. Call it when settings change.
func (r *Router) Rebuild() {
	r.index.Store(buildIndex(r.o.Providers(), r.o.Settings(), *r.lists.Load()))
}

// listWait is how long a request waits at start for the first round of model lists.
const listWait = 3 * time.Second

// awaitLists waits for the first lists where the choice depends on them.
func (r *Router) awaitLists(ctx context.Context) {
	select {
	case <-r.ready:
		return
	default:
	}
	t := time.NewTimer(listWait)
	defer t.Stop()
	select {
	case <-r.ready:
	case <-t.C:
	case <-ctx.Done():
	}
}

// PathKind says what the first segment of a path names.
type PathKind uint8

// Kinds of a path segment.
const (
	PathUnknown  PathKind = iota
	PathProvider          // a provider
	PathAuto              // "auto": no provider, the usual order decides
	PathDeclined          // a service that Patchbay does not support
)

// declined are names of AIClient-2-API that Patchbay answers by name.
var declined = map[string]bool{"grok-web": true}

// ResolvePath tells what a first path segment names. The id is that of a provider, "" for auto.
func (r *Router) ResolvePath(segment string) (id string, kind PathKind) {
	switch {
	case segment == "auto":
		return "", PathAuto
	case declined[segment]:
		return "", PathDeclined
	}
	if p := r.index.Load().byName[segment]; p != nil {
		return p.ID, PathProvider
	}
	return "", PathUnknown
}

// Raw tells whether a name, from a path or a header, stands for a provider that passes requests on as they are. The error
// says why it cannot serve now.
func (r *Router) Raw(name string) (id string, raw bool, err error) {
	x := r.index.Load()
	p := x.byName[strings.ToLower(name)]
	if p == nil || !p.Raw {
		return "", false, nil
	}
	if !p.Enabled || !r.o.HasAccounts(p.ID) {
		return p.ID, true, r.notConfigured(x, p.ID)
	}
	return p.ID, true, nil
}

// Models lists what clients may ask for: plain ids once each, and provider/id beside them where several providers list
// the same id, by the providers' priority and then by id. With a provider, only its own.
func (r *Router) Models(ctx context.Context, provider string) ([]canon.Model, error) {
	r.awaitLists(ctx)
	x := r.index.Load()
	if provider != "" {
		p := x.provider(provider)
		if p == nil || !p.Enabled || !r.o.HasAccounts(provider) {
			return nil, r.notConfigured(x, provider)
		}
		return x.ownList(p), nil
	}
	return x.all, nil
}

func (r *Router) notConfigured(x *index, provider string) error {
	p := x.provider(provider)
	switch {
	case p == nil:
		return apierror.New(apierror.NotConfigured, "there is no provider %q", provider)
	case !p.Enabled:
		return &apierror.Error{Kind: apierror.NotConfigured, Provider: provider, Msg: provider + " is turned off; turn it on in the settings (providers." + provider + ".enabled)"}
	default:
		return &apierror.Error{Kind: apierror.NotConfigured, Provider: provider, Msg: provider + " has no account; add one with `patchbay accounts add " + provider + "`"}
	}
}

// index is an immutable view over providers, lists and settings.
type index struct {
	providers []*Provider                  // by priority, then id
	byName    map[string]*Provider         // ids and old ids
	byLabel   map[string]*Provider         // lower-case
	folded    map[string]map[string]string // provider, or "" for all -> name in lower case -> name
	listed    map[string]map[string]canon.Model
	known     map[string]bool        // providers whose list is known
	byModel   map[string][]*Provider // model id -> providers that list it, in order
	lists     map[string][]canon.Model
	settings  Settings
	patterns  []string // aliases that end in "*", the longest first
	chains    map[string][]string
	all       []canon.Model

	fallbackPatterns []string // of ModelFallback, the longest first
}

func buildIndex(providers []Provider, settings Settings, lists map[string][]canon.Model) *index {
	x := &index{
		byName: map[string]*Provider{}, byLabel: map[string]*Provider{}, listed: map[string]map[string]canon.Model{},
		known: map[string]bool{}, byModel: map[string][]*Provider{}, lists: lists, settings: settings,
	}
	providers = slices.Clone(providers)
	slices.SortStableFunc(providers, func(a, b Provider) int {
		if a.Priority != b.Priority {
			return a.Priority - b.Priority
		}
		return strings.Compare(a.ID, b.ID)
	})
	for i := range providers {
		x.add(&providers[i])
	}
	for _, p := range x.providers {
		for _, alias := range p.Aliases {
			for _, name := range []string{alias, strings.ToLower(alias)} { // prefixes and headers are read in any case
				if x.byName[name] == nil {
					x.byName[name] = p
				}
			}
		}
	}
	for alias := range settings.Aliases {
		if strings.HasSuffix(alias, "*") {
			x.patterns = append(x.patterns, alias)
		}
	}
	for model := range settings.ModelFallback {
		if strings.Contains(model, "*") {
			x.fallbackPatterns = append(x.fallbackPatterns, model)
		}
	}
	for _, patterns := range [][]string{x.patterns, x.fallbackPatterns} {
		slices.SortFunc(patterns, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	}
	x.chains = make(map[string][]string, len(settings.Chains))
	for from, to := range settings.Chains { // an old name is one of the provider
		head, model, named := strings.Cut(from, "/")
		if p := x.byName[strings.ToLower(head)]; p != nil {
			if from = p.ID; named {
				from += "/" + model
			}
		}
		x.chains[from] = append(x.chains[from], to...)
	}
	for _, p := range x.providers { // an id is a label where no name is the same
		if x.byLabel[p.ID] == nil {
			x.byLabel[p.ID] = p
		}
	}
	x.fold()
	x.all = x.allModels()
	return x
}

// alias returns what a name stands for. A whole name wins over a pattern, a long pattern over a short one, and a listed
// model is never caught by a pattern.
func (x *index) alias(model string) (target string, ok bool) {
	if target, ok = x.settings.Aliases[model]; ok {
		return target, true
	}
	if len(x.patterns) == 0 || len(x.byModel[model]) > 0 {
		return "", false
	}
	for _, p := range x.patterns {
		if strings.HasPrefix(model, p[:len(p)-1]) {
			return x.settings.Aliases[p], true
		}
	}
	return "", false
}

func (x *index) add(p *Provider) {
	x.providers = append(x.providers, p)
	x.byName[p.ID] = p
	for _, l := range append([]string{p.Name}, p.Labels...) {
		if l = strings.ToLower(l); l != "" && x.byLabel[l] == nil {
			x.byLabel[l] = p
		}
	}
	if !p.Enabled {
		return
	}
	models := map[string]canon.Model{}
	list := x.lists[p.ID]
	x.known[p.ID] = len(list) > 0
	for _, m := range list {
		m.Provider = p.ID
		models[m.ID] = m
		x.byModel[m.ID] = append(x.byModel[m.ID], p)
	}
	for _, m := range list { // "claude-sonnet-4-5" is another name of "claude-sonnet-4-5-20250929"
		if base, dated := undated(m.ID); dated {
			if _, taken := models[base]; !taken {
				m.ID, m.Provider = base, p.ID
				models[base] = m
				x.byModel[base] = append(x.byModel[base], p)
			}
		}
	}
	if _, has := x.lists[p.ID]; has {
		for alias := range p.Models {
			if _, taken := models[alias]; !taken {
				x.byModel[alias] = append(x.byModel[alias], p)
			}
		}
	}
	x.listed[p.ID] = models
}

func (x *index) provider(id string) *Provider {
	p := x.byName[id]
	if p == nil || p.ID != id {
		return nil
	}
	return p
}

// ownList is a provider's list with the person's own names. Models that only make images are left out: apps offer for chat
// whatever a list holds.
func (x *index) ownList(p *Provider) []canon.Model {
	out := make([]canon.Model, 0, len(x.lists[p.ID])+len(p.Models))
	for _, m := range x.lists[p.ID] {
		if m.Pictures == canon.Yes || x.hidden(p, m.ID) {
			continue
		}
		m.Provider = p.ID
		out = append(out, m)
	}
	for alias, model := range p.Models {
		if _, taken := x.listed[p.ID][alias]; !taken && !x.hidden(p, alias) {
			m := x.listed[p.ID][model]
			m.ID, m.Name, m.Provider = alias, "", p.ID
			out = append(out, m)
		}
	}
	slices.SortStableFunc(out, func(a, b canon.Model) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// hidden reports whether the person wants no list to show a model. Who asks for it by name gets it all the same.
func (x *index) hidden(p *Provider, model string) bool {
	return slices.ContainsFunc(x.settings.Hidden, func(pattern string) bool {
		return provider.Match(pattern, model) || provider.Match(pattern, p.ID+"/"+model)
	})
}

func (x *index) allModels() []canon.Model {
	var out []canon.Model
	seen := map[string]bool{}
	for _, p := range x.providers {
		if !p.Enabled {
			continue
		}
		for _, m := range x.ownList(p) {
			several := len(x.byModel[m.ID]) > 1
			if !seen[m.ID] {
				seen[m.ID] = true
				out = append(out, m)
			}
			if several {
				m.ID = p.ID + "/" + m.ID
				out = append(out, m)
			}
		}
	}
	var aliases []string
	for alias := range x.settings.Aliases {
		if !seen[alias] && !strings.HasSuffix(alias, "*") {
			aliases = append(aliases, alias)
		}
	}
	slices.Sort(aliases)
	for _, alias := range aliases {
		out = append(out, canon.Model{ID: alias})
	}
	return out
}
