package api

import (
	"context"
	"net/http"

	"patchbay/backend/secret"
)

// ProxyService is the part of Service that concerns the ways out.
type ProxyService interface {
	// TestProxy tries a way out: whether it works, how long it takes and which services can be reached by it. No account is
	// used and nothing is spent.
	TestProxy(ctx context.Context, q ProxyTest) (ProxyTestView, error)
}

// ProxyTest says which way out is meant: an address, or the one in force for an account, for a provider, or for all.
type ProxyTest struct {
	Proxy    secret.Value `json:"proxy,omitzero"`     // an address, direct or system; "" = the one in force
	Account  string       `json:"account,omitempty"`  // id
	Provider string       `json:"provider,omitempty"` // whose service is tried; "" = that of the account, or those that have accounts
}

// ProxyTestView is what a way out turned out to be.
type ProxyTestView struct {
	OK        bool        `json:"ok"` // a service was reached by it
	LatencyMS int64       `json:"latency_ms,omitzero"`
	Proxy     string      `json:"proxy"` // without its password; direct or system
	Exit      []ProxyExit `json:"exit"`
	Message   string      `json:"message,omitempty"` // what is wrong
}

// ProxyExit is one service that was tried.
type ProxyExit struct {
	Provider  string `json:"provider"`
	Host      string `json:"host"`
	OK        bool   `json:"ok"`
	LatencyMS int64  `json:"latency_ms,omitzero"`
	Message   string `json:"message,omitempty"` // why it was not reached
}

var proxyEndpoints = []endpoint{{
	pattern: "POST /api/proxy/test", call: testProxy, takes: of[ProxyTest](), gives: of[ProxyTestView](),
	about: "Tries a way out: latency, and which services are reached by it; nothing is spent",
}}

func testProxy(svc Service, r *http.Request) (any, error) {
	var q ProxyTest
	if err := decode(r.Body, &q); err != nil {
		return nil, err
	}
	return svc.TestProxy(r.Context(), q)
}

// TestProxy implements Service.
func (c *Client) TestProxy(ctx context.Context, q ProxyTest) (out ProxyTestView, err error) {
	err = c.do(ctx, http.MethodPost, "/api/proxy/test", q, &out)
	return out, err
}
