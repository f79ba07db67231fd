package api

import (
	"context"
	"net/http"
	"net/url"

	"patchbay/backend/apierror"
)

// PromptService is the part of Service that concerns the rules for system text. A change is written into the settings and
// holds from the next request on; what a flag or a variable holds cannot be changed here.
type PromptService interface {
	// Prompts lists the rules in the order in which they are applied.
	Prompts(ctx context.Context) ([]PromptRuleView, error)
	// SetPrompt adds a rule, or puts another in the place of the one with this name. A name in the rule gives it that one.
	SetPrompt(ctx context.Context, name string, p PromptRule) (PromptRuleView, error)
	RemovePrompt(ctx context.Context, name string) error
	// OrderPrompts puts rules in order, within the rules that reach as far: those that are not named come last, as they were.
	OrderPrompts(ctx context.Context, names []string) ([]PromptRuleView, error)
	// PreviewPrompts tells what becomes of a system text. Nothing is sent and nothing is changed.
	PreviewPrompts(ctx context.Context, q PromptSample) (PromptPreview, error)
}

// PromptRule is a rule for system text as it is to be.
type PromptRule struct {
	Name          string            `json:"name,omitempty"`
	Mode          string            `json:"mode,omitempty" oneof:"append,prepend,override"` // of its text; "" = append
	Text          string            `json:"text,omitempty"`                                 // or
	File          string            `json:"file,omitempty"`                                 // a whole path; read again when the file changes
	Providers     []string          `json:"providers,omitempty"`                            // none = all
	Keys          []string          `json:"keys,omitempty"`                                 // names or ids of client keys; none = all
	Replace       map[string]string `json:"replace,omitempty"`                              // text to text
	ReplaceRegexp map[string]string `json:"replace_regexp,omitempty"`                       // regular expression to text
	Order         int               `json:"order,omitempty"`                                // among the rules that reach as far, the lowest first
}

// PromptRuleView is a rule with what came of it.
type PromptRuleView struct {
	PromptRule
	Reach    string `json:"reach" oneof:"all,provider,key"` // rules for all come first, those for a client key have the last word
	Held     string `json:"held,omitempty"`                 // what the file holds, or last held
	Problem  string `json:"problem,omitempty"`              // why the file cannot be read
	LockedBy string `json:"locked_by,omitempty"`            // the variable or flag that holds a part of it
}

// PromptSample is a request whose system text is looked at.
type PromptSample struct {
	Provider string      `json:"provider,omitempty"` // that would answer; "" = the default provider
	Key      string      `json:"key,omitempty"`      // name or id of the client key; "" = none
	System   string      `json:"system,omitempty"`   // that the app would send
	Rule     *PromptRule `json:"rule,omitzero"`      // a rule that is not kept yet, or in the place of the one with its name
}

// PromptPreview is what becomes of a sample.
type PromptPreview struct {
	Provider string          `json:"provider"`
	Before   string          `json:"before"`
	After    string          `json:"after"` // "" = no system text is sent
	Changed  bool            `json:"changed"`
	Rules    []PromptApplied `json:"rules"` // that concern such a request, in order
}

// PromptApplied is what one rule does to a sample.
type PromptApplied struct {
	Name    string   `json:"name"`
	Does    []string `json:"does,omitempty"` // overrides, appends, prepends, replaces
	Problem string   `json:"problem,omitempty"`
}

var promptEndpoints = []endpoint{
	{pattern: "GET /api/prompts", call: listPrompts, gives: of[items[PromptRuleView]](), about: "The rules for system text, in the order in which they are applied"},
	{
		pattern: "PUT /api/prompts/{name}", call: setPrompt, takes: of[PromptRule](), gives: of[PromptRuleView](),
		about: "Adds a rule for system text, or replaces it; a name in the body gives it that one",
	},
	{pattern: "DELETE /api/prompts/{name}", call: removePrompt, status: http.StatusNoContent, about: "Takes a rule for system text away"},
	{
		pattern: "POST /api/prompts/order", call: orderPrompts, takes: of[promptOrder](), gives: of[items[PromptRuleView]](),
		about: "Puts rules for system text in order, within those that reach as far",
	},
	{
		pattern: "POST /api/prompts/preview", call: previewPrompts, takes: of[PromptSample](), gives: of[PromptPreview](),
		about: "What becomes of a system text; nothing is sent",
	},
}

type promptOrder struct {
	Names []string `json:"names"`
}

func listPrompts(svc Service, r *http.Request) (any, error) { return list(svc.Prompts(r.Context())) }

func setPrompt(svc Service, r *http.Request) (any, error) {
	var p PromptRule
	if err := decode(r.Body, &p); err != nil {
		return nil, err
	}
	return svc.SetPrompt(r.Context(), r.PathValue("name"), p)
}

func removePrompt(svc Service, r *http.Request) (any, error) {
	return nil, svc.RemovePrompt(r.Context(), r.PathValue("name"))
}

func orderPrompts(svc Service, r *http.Request) (any, error) {
	var o promptOrder
	if err := decode(r.Body, &o); err != nil {
		return nil, err
	}
	if len(o.Names) == 0 {
		return nil, apierror.Invalid("names", "name the rules in the order in which they are to be applied")
	}
	return list(svc.OrderPrompts(r.Context(), o.Names))
}

func previewPrompts(svc Service, r *http.Request) (any, error) {
	var q PromptSample
	if err := decode(r.Body, &q); err != nil {
		return nil, err
	}
	return svc.PreviewPrompts(r.Context(), q)
}

// Prompts implements Service.
func (c *Client) Prompts(ctx context.Context) ([]PromptRuleView, error) {
	return getItems[PromptRuleView](ctx, c, "/api/prompts", nil)
}

// SetPrompt implements Service.
func (c *Client) SetPrompt(ctx context.Context, name string, p PromptRule) (out PromptRuleView, err error) {
	err = c.do(ctx, http.MethodPut, "/api/prompts/"+url.PathEscape(name), p, &out)
	return out, err
}

// RemovePrompt implements Service.
func (c *Client) RemovePrompt(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodDelete, "/api/prompts/"+url.PathEscape(name), nil, nil)
}

// OrderPrompts implements Service.
func (c *Client) OrderPrompts(ctx context.Context, names []string) ([]PromptRuleView, error) {
	var out items[PromptRuleView]
	err := c.do(ctx, http.MethodPost, "/api/prompts/order", promptOrder{names}, &out)
	return out.Items, err
}

// PreviewPrompts implements Service.
func (c *Client) PreviewPrompts(ctx context.Context, q PromptSample) (out PromptPreview, err error) {
	err = c.do(ctx, http.MethodPost, "/api/prompts/preview", q, &out)
	return out, err
}
