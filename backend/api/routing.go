package api

import (
	"context"
	"net/http"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/trace"
)

// RoutingService is the part of Service that concerns who answers what, and who steps in. Every change is written into the
// settings and holds from the next request on; what a flag or a variable holds cannot be changed here.
type RoutingService interface {
	Routing(ctx context.Context) (RoutingView, error)
	// SetChain says where requests go when a provider, or one model of it, has no usable account. No steps take the chain away.
	SetChain(ctx context.Context, c ChainChange) (RoutingView, error)
	// SetAlias gives a model another name. An empty target takes the name away.
	SetAlias(ctx context.Context, a AliasChange) (RoutingView, error)
	// SetModelFallback says where a model goes when neither its provider nor that one's chain can serve it. No targets take it
	// away.
	SetModelFallback(ctx context.Context, f ModelFallbackChange) (RoutingView, error)
	// SetHidden says which models no list shows.
	SetHidden(ctx context.Context, patterns []string) (RoutingView, error)
	// SetThinking says how much the models of a provider think where a request says nothing, and at most.
	SetThinking(ctx context.Context, t ThinkingChange) (RoutingView, error)
	// Explain tells where a request would go now, and why. Nothing is sent.
	Explain(ctx context.Context, q RouteQuery) (RouteView, error)
}

// TraceStep is one line of a route: of a request that was made, or of one that is only looked at.
type TraceStep = trace.Step

// RoutingView is everything that decides where requests go.
type RoutingView struct {
	Default        RoutingDefault      `json:"default"`
	Chains         []ChainView         `json:"chains"` // that of the default provider first, also if it is empty
	Aliases        []AliasView         `json:"aliases"`
	ModelFallbacks []ModelFallbackView `json:"model_fallbacks"`
	Hidden         HiddenView          `json:"hidden"`
	Thinking       []ThinkingView      `json:"thinking"` // providers that say something of it
	MaxAttempts    int                 `json:"max_attempts"`
}

// RoutingDefault is the default provider.
type RoutingDefault struct {
	Provider string `json:"provider,omitempty"` // "" = none can be
	Name     string `json:"name,omitempty"`
	Chosen   bool   `json:"chosen"`              // a person chose it; else it is the first usable one
	LockedBy string `json:"locked_by,omitempty"` // the variable or flag that holds it
}

// ChainView is a chain from its start on.
type ChainView struct {
	Of       string          `json:"of"` // provider, or provider/model
	Default  bool            `json:"default,omitzero"`
	Steps    []ChainStepView `json:"steps"` // the first is where the chain starts
	LockedBy string          `json:"locked_by,omitempty"`
}

// ChainStepView is one step of a chain.
type ChainStepView struct {
	Target    string    `json:"target"` // as it stands in the settings: provider, or provider/model
	Provider  string    `json:"provider"`
	Name      string    `json:"name,omitempty"`      // of the provider
	Model     string    `json:"model,omitempty"`     // "" = it depends on the request
	SameModel bool      `json:"same_model,omitzero"` // the model that was asked for, where the provider lists it
	From      string    `json:"from,omitempty"`      // the chain whose step it is, where it is not one of this chain
	State     string    `json:"state"`               // ready, resting, needs_you, off, no_account, unknown
	Ready     int       `json:"ready"`               // accounts
	Accounts  int       `json:"accounts"`
	Until     time.Time `json:"until,omitzero"` // of resting: when the first account is back
	Problem   string    `json:"problem,omitempty"`
	Can       Abilities `json:"can"`
}

// Abilities are what is known of a model. "" and 0 are unknown, which is allowed.
type Abilities struct {
	Tools     string `json:"tools,omitempty"` // yes or no
	Images    string `json:"images,omitempty"`
	Documents string `json:"documents,omitempty"`
	Thinking  string `json:"thinking,omitempty"`
	Context   int64  `json:"context,omitzero"` // tokens
	MaxOutput int64  `json:"max_output,omitzero"`
}

// AliasView is another name of a model.
type AliasView struct {
	Name     string `json:"name"` // a * at its end stands for any text
	Target   string `json:"target"`
	Scope    string `json:"scope"`              // global, provider or account
	Provider string `json:"provider,omitempty"` // of the scope; of a global one that to which it leads, if that is said
	Account  string `json:"account,omitempty"`  // id
	Label    string `json:"label,omitempty"`    // the account's name
	LockedBy string `json:"locked_by,omitempty"`
	Problem  string `json:"problem,omitempty"`
}

// ModelFallbackView is where a model goes when nobody else can serve it.
type ModelFallbackView struct {
	Model    string          `json:"model"` // a name, or a pattern with *
	Steps    []ChainStepView `json:"steps"`
	LockedBy string          `json:"locked_by,omitempty"`
}

// HiddenView are the models that no list shows.
type HiddenView struct {
	Patterns []string `json:"patterns"` // of models, or of provider/model
	LockedBy string   `json:"locked_by,omitempty"`
}

// ThinkingView is how much the models of a provider think.
type ThinkingView struct {
	Provider string `json:"provider"`
	Default  string `json:"default,omitempty"` // level, number of tokens, auto or off: where a request says nothing
	Max      string `json:"max,omitempty"`     // level or number of tokens, at most
	LockedBy string `json:"locked_by,omitempty"`
}

// ChainChange is a chain as it is to be.
type ChainChange struct {
	Of    string   `json:"of"`    // provider, or provider/model
	Steps []string `json:"steps"` // provider, or provider/model
}

// AliasChange is a name as it is to be: a global one, or one of a provider, or of an account.
type AliasChange struct {
	Name     string `json:"name"`
	Target   string `json:"target"`
	Provider string `json:"provider,omitempty"`
	Account  string `json:"account,omitempty"` // id
}

// ModelFallbackChange is a model's fallback as it is to be.
type ModelFallbackChange struct {
	Model   string   `json:"model"`
	Targets []string `json:"targets"` // provider/model
}

// ThinkingChange says what is to change; nil leaves it alone, "" takes it away.
type ThinkingChange struct {
	Provider string  `json:"provider"`
	Default  *string `json:"default,omitzero"`
	Max      *string `json:"max,omitzero"`
}

// RouteQuery describes a request that is not sent.
type RouteQuery struct {
	Model          string     `json:"model"`
	Protocol       string     `json:"protocol,omitempty"`        // openai, responses, anthropic, gemini, ollama; "" = openai
	PathProvider   string     `json:"path_provider,omitempty"`   // that the path names
	HeaderProvider string     `json:"header_provider,omitempty"` // that the header names
	Key            string     `json:"key,omitempty"`             // id of the client key; "" = one without limits
	Needs          RouteNeeds `json:"needs,omitzero"`
	Tokens         int64      `json:"tokens,omitzero"`     // of the prompt, 0 = unknown
	MaxOutput      int64      `json:"max_output,omitzero"` // tokens that the answer may have, 0 = unknown
}

// RouteNeeds are what the request needs.
type RouteNeeds struct {
	Tools     bool `json:"tools,omitzero"`
	Images    bool `json:"images,omitzero"`
	Documents bool `json:"documents,omitzero"`
	Thinking  bool `json:"thinking,omitzero"`
}

// RouteView is where a request would go.
type RouteView struct {
	Answer RouteAnswer `json:"answer"`
	Trace  []TraceStep `json:"trace"`
}

// RouteAnswer is how the route ends.
type RouteAnswer struct {
	Outcome  string     `json:"outcome"` // account: one would answer; nobody: all are out; refused: it leads nowhere
	Provider string     `json:"provider,omitempty"`
	Name     string     `json:"name,omitempty"`    // of the provider
	Account  string     `json:"account,omitempty"` // id
	Label    string     `json:"label,omitempty"`   // the account's name
	Model    string     `json:"model,omitempty"`
	Rule     trace.Rule `json:"rule,omitzero"`
	Kind     string     `json:"kind,omitempty"` // of the error
	Status   int        `json:"status,omitzero"`
	Message  string     `json:"message,omitempty"`
	Until    time.Time  `json:"until,omitzero"` // the soonest time at which somebody could answer
}

var routingEndpoints = []endpoint{
	{pattern: "GET /api/routing", call: getRouting, gives: of[RoutingView](), about: "Who answers what, and who steps in"},
	{
		pattern: "PUT /api/routing/chains", call: changing(Service.SetChain, ChainChange.check), takes: of[ChainChange](), gives: of[RoutingView](),
		about: "Sets a fallback chain; no steps take it away",
	},
	{
		pattern: "PUT /api/routing/aliases", call: changing(Service.SetAlias, AliasChange.check), takes: of[AliasChange](), gives: of[RoutingView](),
		about: "Sets another name for a model; an empty target takes it away",
	},
	{
		pattern: "PUT /api/routing/fallbacks", call: changing(Service.SetModelFallback, ModelFallbackChange.check),
		takes: of[ModelFallbackChange](), gives: of[RoutingView](), about: "Sets what stands in for a model; no targets take it away",
	},
	{
		pattern: "PUT /api/routing/hidden", call: setHidden, takes: of[hiddenChange](), gives: of[RoutingView](),
		about: "Sets the patterns of models that apps do not see",
	},
	{
		pattern: "PUT /api/routing/thinking", call: changing(Service.SetThinking, ThinkingChange.check),
		takes: of[ThinkingChange](), gives: of[RoutingView](), about: "Changes what is named of a provider's thinking",
	},
	{
		pattern: "POST /api/routing/explain", call: explainRoute, takes: of[RouteQuery](), gives: of[RouteView](),
		about: "Where such a request would go and why; nothing is sent",
	},
}

func getRouting(svc Service, r *http.Request) (any, error) { return svc.Routing(r.Context()) }

// changing makes the call of a change that is checked by itself first.
func changing[T any](do func(Service, context.Context, T) (RoutingView, error), check func(T) error) func(Service, *http.Request) (any, error) {
	return func(svc Service, r *http.Request) (any, error) {
		var c T
		if err := decode(r.Body, &c); err != nil {
			return nil, err
		}
		if err := check(c); err != nil {
			return nil, err
		}
		return do(svc, r.Context(), c)
	}
}

func (c ChainChange) check() error {
	if c.Of == "" {
		return apierror.Invalid("of", "say whose chain it is: provider, or provider/model")
	}
	return nil
}

func (c AliasChange) check() error {
	switch {
	case c.Name == "":
		return apierror.Invalid("name", "say which name is meant")
	case c.Provider != "" && c.Account != "":
		return apierror.Invalid("account", "a name belongs to a provider or to an account: leave out one of the two")
	}
	return nil
}

func (c ModelFallbackChange) check() error {
	if c.Model == "" {
		return apierror.Invalid("model", "say which model is meant")
	}
	return nil
}

func (c ThinkingChange) check() error {
	if c.Provider == "" {
		return apierror.Invalid("provider", "say which provider is meant")
	}
	return nil
}

type hiddenChange struct {
	Patterns []string `json:"patterns"`
}

func setHidden(svc Service, r *http.Request) (any, error) {
	var c hiddenChange
	if err := decode(r.Body, &c); err != nil {
		return nil, err
	}
	return svc.SetHidden(r.Context(), c.Patterns)
}

func explainRoute(svc Service, r *http.Request) (any, error) {
	var q RouteQuery
	if err := decode(r.Body, &q); err != nil {
		return nil, err
	}
	if q.Tokens < 0 {
		return nil, apierror.Invalid("tokens", "tokens cannot be negative")
	}
	return svc.Explain(r.Context(), q)
}

// Routing implements Service.
func (c *Client) Routing(ctx context.Context) (RoutingView, error) {
	return get[RoutingView](ctx, c, "/api/routing", nil)
}

// SetChain implements Service.
func (c *Client) SetChain(ctx context.Context, ch ChainChange) (RoutingView, error) {
	return c.routing(ctx, "chains", ch)
}

// SetAlias implements Service.
func (c *Client) SetAlias(ctx context.Context, ch AliasChange) (RoutingView, error) {
	return c.routing(ctx, "aliases", ch)
}

// SetModelFallback implements Service.
func (c *Client) SetModelFallback(ctx context.Context, ch ModelFallbackChange) (RoutingView, error) {
	return c.routing(ctx, "fallbacks", ch)
}

// SetHidden implements Service.
func (c *Client) SetHidden(ctx context.Context, patterns []string) (RoutingView, error) {
	return c.routing(ctx, "hidden", hiddenChange{patterns})
}

// SetThinking implements Service.
func (c *Client) SetThinking(ctx context.Context, ch ThinkingChange) (RoutingView, error) {
	return c.routing(ctx, "thinking", ch)
}

func (c *Client) routing(ctx context.Context, what string, change any) (out RoutingView, err error) {
	err = c.do(ctx, http.MethodPut, "/api/routing/"+what, change, &out)
	return out, err
}

// Explain implements Service.
func (c *Client) Explain(ctx context.Context, q RouteQuery) (out RouteView, err error) {
	err = c.do(ctx, http.MethodPost, "/api/routing/explain", q, &out)
	return out, err
}
