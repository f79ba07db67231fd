package backend

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"patchbay/backend/account"
	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/gateway"
	"patchbay/backend/record"
	"patchbay/backend/route"
	"patchbay/backend/trace"
)

// TestKey is the id under which tests of accounts are recorded in which a model answers.
const TestKey = "account-test"

const testName = "Account test"

// The one request of such a test. Models that think need room for it; most answer with one word all the same.
const (
	testPrompt = "Answer with the one word: ready"
	testInput  = 20 // tokens, with what a format puts around a message
	testOutput = 200
	testTime   = 100 * time.Second // a model on this computer may have to be loaded first
	testAnswer = 200               // bytes that are shown of the answer
)

// What a test in which a model answers is paid with.
const (
	paidByTokens = "tokens"
	paidByPlan   = "plan"
	paidNothing  = "nothing"
)

// testable returns an account with its provider.
func (b *Backend) testable(id string) (account.Status, offered, error) {
	st, ok := b.accounts.Get(id)
	if !ok {
		return st, offered{}, apierror.New(apierror.RouteNotFound, "there is no account %q; it may have been removed", id)
	}
	k, ok := b.offered(st.Provider)
	if !ok {
		return st, k, apierror.Invalid("id", "its provider %s is not available", st.Provider)
	}
	return st, k, nil
}

// TestCost implements api.Service.
func (b *Backend) TestCost(ctx context.Context, id, model string) (api.TestCost, error) {
	st, _, err := b.testable(id)
	if err != nil {
		return api.TestCost{}, err
	}
	if model, err = b.testModel(ctx, st, model); err != nil {
		return api.TestCost{}, err
	}
	c := api.TestCost{Model: model, Input: testInput, Output: testOutput, Paid: paidNothing}
	if rules, err := b.PreviewPrompts(ctx, api.PromptSample{Provider: st.Provider}); err == nil {
		c.Input += int64(len(rules.After)+3) / 4 // the person's own rules put a text before each request
	}
	switch {
	case b.metered(st.ID, model):
		c.Paid = paidByTokens
	case st.Login != "":
		c.Paid = paidByPlan
	}
	table := b.currentPrices()
	if p, ok := table.Find(st.Provider, model); ok && c.Paid == paidByTokens {
		cost := p.Cost(record.Tokens{Input: c.Input, Output: c.Output})
		c.Cost, c.Currency, c.Prices = &cost, table.Currency, p.AsOf
	}
	return c, nil
}

// testModel returns the model that a test asks: the one that is named, else the cheapest of the account's that holds
// conversations. Those whose price is not known come last, in the order of the list.
func (b *Backend) testModel(ctx context.Context, st account.Status, named string) (string, error) {
	if named != "" {
		return named, nil
	}
	if b.Base() == "" {
		b.refreshLists(ctx) // nobody else has read the lists in this process
	}
	models, err := b.router.Models(ctx, st.Provider)
	if err != nil {
		return "", explain(err)
	}
	models = slices.DeleteFunc(models, func(m canon.Model) bool { return !route.Talks(&m) || b.lacks(st, m.ID) })
	if len(models) == 0 {
		return "", apierror.Invalid("model", "name the model that is to answer: no list says which ones %s has", st.Name)
	}
	prices := b.currentPrices()
	price := func(m canon.Model) float64 {
		p, ok := prices.Find(st.Provider, m.ID)
		if !ok {
			return 1e9
		}
		return p.Cost(record.Tokens{Input: testInput, Output: testOutput})
	}
	return slices.MinFunc(models, func(a, b canon.Model) int { return cmp.Compare(price(a), price(b)) }).ID, nil
}

// lacks reports that an account is known not to have a model that its provider lists.
func (b *Backend) lacks(st account.Status, model string) bool {
	list, _ := b.accounts.Considered(account.Query{Provider: st.Provider, Model: model, Account: st.ID}, 0)
	for _, c := range list {
		if c.Kind == trace.KindNotServed || c.Kind == trace.KindAbsent {
			return true
		}
	}
	return false
}

// tryOut has a model of one account answer. The request takes the way of any other, so that what it meets counts for the
// account's health and stands in the log.
func (b *Backend) tryOut(ctx context.Context, st account.Status, model string) (api.TestView, error) {
	model, err := b.testModel(ctx, st, model)
	if err != nil {
		return api.TestView{}, err
	}
	most := int64(testOutput)
	req := &canon.Request{
		Format: "openai", Op: "chat", ModelAsked: model, MaxTokens: &most, Began: time.Now(),
		Messages: []canon.Message{{Role: canon.RoleUser, Parts: []canon.Part{{Type: canon.PartText, Text: testPrompt}}}},
	}
	v := api.TestView{Model: model, Request: req.NewID("req_", 24)}
	call := b.gateway.Call(req, gateway.Caller{
		RequestID: v.Request, KeyID: TestKey, KeyName: testName, Own: true, PathProvider: st.Provider, Account: st.ID,
	})
	limited, cancel := context.WithTimeout(ctx, testTime)
	defer cancel()
	resp, err := canon.Collect(call.Stream(limited))
	v.DurationMS = max(time.Since(req.Began).Milliseconds(), 1)
	v.Model = cmp.Or(call.Route().Model, model)
	b.whatItCost(ctx, st, &v)
	if err == nil {
		v.OK, v.Answer = true, textOf(resp)
		if v.Answer == "" {
			v.Message = fmt.Sprintf("the model answered, but wrote nothing within %d tokens", testOutput)
		}
		return v, nil
	}
	e := apierror.From(err)
	if limited.Err() != nil && ctx.Err() == nil {
		e = apierror.New(apierror.Timeout, "no answer came within %s", testTime)
	}
	v.Kind, v.Message = e.Kind.String(), e.Msg
	v.Next = b.afterTest(st, &v, e.Kind)
	return v, nil
}

// whatItCost takes the tokens from the row that the log has of the test. The row may not be written yet, and what it costs is
// only found out then.
func (b *Backend) whatItCost(ctx context.Context, st account.Status, v *api.TestView) {
	row, ok, err := b.record.Row(context.WithoutCancel(ctx), v.Request)
	if err != nil || !ok || row.Tokens.Input < 0 && row.Tokens.Output < 0 {
		return // the log is there to look at; the result counts all the same
	}
	t := tokens(row.Tokens)
	v.Tokens, v.Estimated = &t, row.Estimated
	table := b.currentPrices()
	if p, ok := table.Find(st.Provider, v.Model); ok && b.metered(st.ID, v.Model) {
		cost := p.Cost(row.Tokens)
		v.Cost, v.Currency = &cost, table.Currency
	}
}

// textOf is the beginning of what a model wrote.
func textOf(resp *canon.Response) string {
	var text strings.Builder
	for _, p := range resp.Parts {
		if p.Type == canon.PartText {
			text.WriteString(p.Text)
		}
	}
	out := strings.TrimSpace(text.String())
	if len(out) > testAnswer {
		out = strings.ToValidUTF8(out[:testAnswer], "") + "..."
	}
	return out
}

// afterTest says what a person can do about a test that failed.
func (b *Backend) afterTest(st account.Status, v *api.TestView, kind apierror.Kind) *api.NextStep {
	if now, ok := b.accounts.Get(st.ID); ok {
		st = now
	}
	if next := nextStep(st); next != nil {
		return next
	}
	switch kind {
	case apierror.AuthExpired: // once is not enough for its health: services refuse good logins now and then
		st.State = account.NeedsLogin
		return nextStep(st)
	case apierror.NoAccount, apierror.RateLimited, apierror.QuotaExhausted, apierror.NoCredit:
		switch {
		case !st.Enabled:
			return &api.NextStep{Text: "The account is left out; use it again.", Command: "patchbay accounts enable " + st.ID}
		case b.paused.Load():
			return &api.NextStep{Text: "Let Patchbay go on.", Command: "patchbay resume"}
		case kind == apierror.NoCredit:
			return &api.NextStep{Text: "Add credit at the service; then end the pause of the account.", Command: "patchbay accounts clear " + st.ID}
		default:
			return &api.NextStep{Text: "Wait until its pause is over, or end it now if you know better.", Command: "patchbay accounts clear " + st.ID}
		}
	case apierror.ModelNotFound, apierror.NotConfigured, apierror.InvalidRequest, apierror.Unsupported:
		return &api.NextStep{Text: "Ask another model: " + v.Model + " may not be for this account.", Command: "patchbay models " + st.Provider}
	case apierror.Transport:
		return &api.NextStep{Text: "See whether the service can be reached from here.", Command: "patchbay proxy test --account " + st.ID}
	case apierror.Timeout, apierror.Truncated, apierror.Upstream5xx, apierror.Overloaded, apierror.ModelBusy:
		const text = "The service has trouble with this model: try again in a few minutes, or ask another model."
		return &api.NextStep{Text: text, Command: "patchbay models " + st.Provider}
	default:
		return &api.NextStep{Text: "Look at the way that the request took.", Command: "patchbay logs show " + v.Request}
	}
}
