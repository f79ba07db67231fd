package e2e

import (
	"net/http"
	"strings"
	"testing"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/internal/testkit"
	"patchbay/backend/secret"
)

func TestAnAccountIsTestedByAnAnswer(t *testing.T) {
	b := testkit.Start(t, testkit.Options{
		Config:   "prompts:\n  house:\n    mode: append\n    text: " + strings.Repeat("word ", 40) + "\n",
		Accounts: map[string][]string{"openai": {"sk-sim-one", "sk-sim-two"}, "home-ollama": {""}, "codex": {"ann@example.test"}, "anthropic": {"sk-ant-sim-one"}},
	})
	ctx := t.Context()
	_, err := b.Backend.SetPrices(ctx, []api.Price{{Providers: []string{"openai"}, Models: []string{"gpt-4.1*"}, Input: ptr(1.0), Output: ptr(2.0)}})
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for _, a := range must(b.Backend.Accounts(ctx))(t) {
		ids[a.Name] = a.ID
	}

	// Before: what it costs, and nothing is sent for that.
	cost := must(b.Backend.TestCost(ctx, ids["openai-2"], "gpt-4.1"))(t)
	if cost.Paid != "tokens" || cost.Cost == nil || *cost.Cost <= 0.0004 || cost.Currency != "USD" || cost.Output != 200 || cost.Input < 60 {
		t.Errorf("%+v", cost) // the rule's two hundred letters count too
	}
	if first := must(b.Backend.TestCost(ctx, ids["openai-2"], ""))(t); first.Model == "" || strings.Contains(first.Model, "embed") {
		t.Errorf("%+v", first)
	}
	if plan := must(b.Backend.TestCost(ctx, ids["home-ollama-1"], ""))(t); plan.Paid != "nothing" || plan.Cost != nil {
		t.Errorf("%+v", plan)
	}
	if rows := must(b.Backend.Requests(ctx, api.RequestQuery{Limit: 10}))(t).Items; len(rows) != 0 {
		t.Errorf("asking for the cost sent %+v", rows)
	}

	// The account that is meant answers, not the one whose turn it is.
	v := must(b.Backend.TestAccount(ctx, ids["openai-2"], api.AccountTest{Generate: true, Model: "gpt-4.1"}))(t)
	if !v.OK || v.Model != "gpt-4.1" || v.Answer == "" || v.DurationMS == 0 || v.Tokens == nil || v.Tokens.Output <= 0 || v.Cost == nil || v.Currency != "USD" {
		t.Errorf("%+v", v)
	}
	row := must(b.Backend.Request(ctx, v.Request))(t)
	if row.Account != ids["openai-2"] || row.KeyName != "Account test" || row.State != api.RequestOK || row.Tokens != *v.Tokens {
		t.Errorf("%+v", row)
	}
	for _, name := range []string{"anthropic-1", "home-ollama-1", "codex-1"} {
		if v := must(b.Backend.TestAccount(ctx, ids[name], api.AccountTest{Generate: true}))(t); !v.OK || v.Answer == "" {
			t.Errorf("%s: %+v", name, v)
		}
	}

	// What is wrong is told with what to do next, and stands in the log as well.
	fails := func(name, model, kind, text, command string) {
		t.Helper()
		v := must(b.Backend.TestAccount(ctx, ids[name], api.AccountTest{Generate: true, Model: model}))(t)
		if v.OK || v.Kind != kind || !strings.Contains(v.Message, text) || v.Next == nil || v.Next.Text == "" || !strings.Contains(v.Next.Command, command) {
			t.Errorf("%s: %+v next %+v", name, v, v.Next)
		}
		if row := must(b.Backend.Request(ctx, v.Request))(t); row.State != api.RequestFailed || row.Kind != kind {
			t.Errorf("%s: %+v", name, row)
		}
	}
	fails("openai-2", "no-such-model", "model_not_found", "no-such-model", "patchbay models openai")
	refused := secret.New("sk-sim-unauthorized")
	must(b.Backend.ChangeAccount(ctx, ids["openai-1"], api.AccountChange{Key: &refused}))(t)
	fails("openai-1", "gpt-4.1", "auth_expired", "openai", "--new-key")
	must(b.Backend.ChangeAccount(ctx, ids["anthropic-1"], api.AccountChange{Enabled: ptr(false)}))(t)
	fails("anthropic-1", "claude-sonnet-4-5", "no_account", "anthropic-1", "patchbay accounts enable")

	_, err = b.Backend.TestAccount(ctx, "gone", api.AccountTest{Generate: true})
	if e := apierror.From(err); err == nil || e.Kind != apierror.RouteNotFound {
		t.Error(err)
	}
	if resp, text := b.Do(t, "POST", "/api/accounts/"+ids["openai-1"]+"/test", `{"generate":true}`); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a client key may test accounts: %s %s", resp.Status, text)
	}
}

func ptr[T any](v T) *T { return &v }
