package gateway

import (
	"strings"
	"testing"
	"time"

	"patchbay/backend/account"
	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/clientkey"
	"patchbay/backend/route"
)

func (r *rig) callAs(caller Caller) (string, *Call, error) {
	c := r.gw.Call(&canon.Request{Format: "openai", Op: "chat", ModelAsked: "m", Stream: true}, caller)
	resp, err := canon.Collect(c.Stream(r.t.Context()))
	text := ""
	for _, p := range resp.Parts {
		text += p.Text
	}
	return text, c, err
}

func TestPinnedAccountAndNoOther(t *testing.T) {
	a := &script{id: "a", steps: map[string][]step{"1": {ok("first"), ok("first")}, "2": {ok("second"), ok("second"), fails(apierror.RateLimited, in(time.Hour))}}}
	b := &script{id: "b", steps: map[string][]step{"1": {ok("other")}}}
	r := newRig(t, []route.Candidate{{Provider: "a", Model: "real", Wire: "openai"}, {Provider: "b", Model: "real", Wire: "openai"}}, a, b)
	id, _, err := r.pools.Find("a/a-2")
	if err != nil {
		t.Fatal(err)
	}
	limits := &clientkey.Limits{Account: id}
	for name, caller := range map[string]Caller{"by header": {Account: "a-2"}, "by key": {KeyName: "app", Limits: limits}} {
		if text, c, err := r.callAs(caller); err != nil || text != "second" || c.Route().Account != "a-2" {
			t.Errorf("%s: %q, %+v, %v", name, text, c.Route(), err)
		}
	}
	_, c, err := r.callAs(Caller{Account: "a-2"}) // it fails: nobody else steps in, in no pool of the plan
	if apierror.KindOf(err) == apierror.Internal || err == nil || c.Route().Attempts != 1 || len(b.calls) != 0 {
		t.Errorf("%+v, %v", c.Route(), err)
	}
	_, _, err = r.callAs(Caller{Account: "a-2"}) // it rests now, and that is said
	if e := apierror.From(err); !strings.Contains(e.Msg, "a-2") || e.RetryAfter < 50*time.Minute {
		t.Errorf("%+v", e)
	}
	for name, c := range map[string]struct {
		caller Caller
		kind   apierror.Kind
		says   string
	}{
		"unknown account":      {Caller{Account: "nobody"}, apierror.InvalidRequest, `no account "nobody"`},
		"another than key's":   {Caller{KeyName: "app", Account: "a-1", Limits: limits}, apierror.ClientForbidden, "one account only"},
		"key's own is gone":    {Caller{KeyName: "app", Limits: &clientkey.Limits{Account: "gone"}}, apierror.ClientForbidden, "give the key another one"},
		"unknown tag":          {Caller{Tags: []string{"Paid"}}, apierror.NoAccount, "does not have the tag paid"},
		"unknown tag of a key": {Caller{Limits: &clientkey.Limits{Tags: []string{"eu"}}}, apierror.NoAccount, "does not have the tag eu"},
	} {
		_, _, err := r.callAs(c.caller)
		if e := apierror.From(err); e.Kind != c.kind || !strings.Contains(e.Msg, c.says) {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestPinnedAccountOfAnotherProvider(t *testing.T) {
	a := &script{id: "a", steps: map[string][]step{"1": {ok("first")}}}
	b := &script{id: "b", steps: map[string][]step{"1": {ok("other")}}}
	r := newRig(t, one("a"), a, b)
	_, _, err := r.callAs(Caller{Account: "b-1"})
	if e := apierror.From(err); e.Kind != apierror.InvalidRequest || !strings.Contains(e.Msg, "belongs to b, and the request goes to a") || e.Param != "X-Patchbay-Account" {
		t.Errorf("%+v", e)
	}
}

func TestTaggedAccountServes(t *testing.T) {
	a := &script{id: "a", steps: map[string][]step{"1": {ok("first")}, "2": {ok("second")}}}
	r := newRig(t, one("a"), a)
	id, _, _ := r.pools.Find("a-2")
	if _, err := r.pools.Update(t.Context(), id, func(a *account.Account) { a.Tags = []string{"paid"} }); err != nil {
		t.Fatal(err)
	}
	if text, _, err := r.callAs(Caller{Tags: []string{"PAID"}}); err != nil || text != "second" {
		t.Errorf("%q, %v", text, err)
	}
}
