package api

import (
	"net/http"

	"patchbay/backend/apierror"
)

var accountEndpoints = []endpoint{
	{pattern: "GET /api/accounts", call: listAccounts, gives: of[items[AccountView]](), about: "The accounts by provider, priority and name"},
	{
		pattern: "POST /api/accounts", call: addAccount, takes: of[NewAccount](), gives: of[AccountView](), status: http.StatusCreated,
		about: "Adds an account",
	},
	{
		pattern: "PATCH /api/accounts/{id}", call: changeAccount, takes: of[AccountChange](), gives: of[AccountView](),
		about: "Changes what is named of an account",
	},
	{
		pattern: "POST /api/accounts/{id}/clear", call: clearAccount, takes: of[cleared](), gives: of[AccountView](),
		about: "Ends its pauses for a model, or all of them and whatever else keeps it from being used",
	},
	{
		pattern: "POST /api/accounts/{id}/test", call: testAccount, takes: of[AccountTest](), gives: of[TestView](), time: testLimit,
		about: "Asks its service for what is free; with generate a model writes a few words, which costs tokens",
	},
	{
		pattern: "GET /api/accounts/{id}/test", call: testCost, gives: of[TestCost](),
		query: []param{{"model", "string", "that would be asked; the cheapest known if it is missing"}},
		about: "Says what a test costs in which a model answers; nothing is sent",
	},
	{pattern: "GET /api/accounts/{id}/quota", call: accountQuota, gives: of[items[QuotaView]](), about: "Asks its service how much is left"},
	{pattern: "POST /api/accounts/{id}/refresh", call: renewAccount, gives: of[AccountView](), about: "Replaces the token of its login"},
	{pattern: "DELETE /api/accounts/{id}", call: removeAccount, status: http.StatusNoContent, about: "Removes an account"},
}

func listAccounts(svc Service, r *http.Request) (any, error) { return list(svc.Accounts(r.Context())) }

func addAccount(svc Service, r *http.Request) (any, error) {
	var a NewAccount
	if err := decode(r.Body, &a); err != nil {
		return nil, err
	}
	if a.Provider == "" {
		return nil, apierror.Invalid("provider", "name the provider that the account belongs to")
	}
	return svc.AddAccount(r.Context(), a)
}

func changeAccount(svc Service, r *http.Request) (any, error) {
	var c AccountChange
	if err := decode(r.Body, &c); err != nil {
		return nil, err
	}
	return svc.ChangeAccount(r.Context(), r.PathValue("id"), c)
}

func clearAccount(svc Service, r *http.Request) (any, error) {
	var m cleared
	if r.ContentLength != 0 {
		if err := decode(r.Body, &m); err != nil {
			return nil, err
		}
	}
	return svc.ClearAccount(r.Context(), r.PathValue("id"), m.Model)
}

func renewAccount(svc Service, r *http.Request) (any, error) {
	return svc.RenewAccount(r.Context(), r.PathValue("id"))
}

func removeAccount(svc Service, r *http.Request) (any, error) {
	return nil, svc.RemoveAccount(r.Context(), r.PathValue("id"))
}

func testAccount(svc Service, r *http.Request) (any, error) {
	var t AccountTest
	if r.ContentLength != 0 {
		if err := decode(r.Body, &t); err != nil {
			return nil, err
		}
	}
	if t.Model != "" && !t.Generate {
		return nil, apierror.Invalid("model", "only a test with generate asks a model; the free one asks none")
	}
	return svc.TestAccount(r.Context(), r.PathValue("id"), t)
}

func testCost(svc Service, r *http.Request) (any, error) {
	return svc.TestCost(r.Context(), r.PathValue("id"), r.URL.Query().Get("model"))
}

func accountQuota(svc Service, r *http.Request) (any, error) {
	return list(svc.AccountQuota(r.Context(), r.PathValue("id")))
}
