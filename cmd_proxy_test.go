package main

import (
	"testing"

	"patchbay/backend/api"
)

func TestProxyIsTried(t *testing.T) {
	b := newBench()
	b.svc.AccountList = []api.AccountView{{ID: "a9", Provider: "openai", Name: "work"}}
	b.svc.ProxyView = api.ProxyTestView{
		OK: true, LatencyMS: 40, Proxy: "http://***@h:1",
		Exit: []api.ProxyExit{{Provider: "openai", Host: "api.example", OK: true, LatencyMS: 40}, {Provider: "kiro", Host: "kiro.example", Message: "it was not reached"}},
	}
	b.in = "http://u:p@h:1\n"
	b.run(t, "proxy", "test", "-", "--account", "work").check(t, exitOK, "The way out works (http://***@h:1), in 40 ms.", "api.example", "in 40 ms", "it was not reached")
	if q := b.svc.LastProxyTest; q.Account != "a9" || q.Proxy.Reveal() != "http://u:p@h:1" {
		t.Errorf("%+v", q)
	}
	b.svc.ProxyView = api.ProxyTestView{Proxy: "direct", Message: "the network is gone"}
	b.run(t, "proxy", "test", "direct", "--provider", "kiro").check(t, exitFailed, "does not work (direct): the network is gone")
	b.run(t, "proxy", "test", "--json").check(t, exitFailed, `"message": "the network is gone"`)
	b.run(t, "proxy").check(t, exitOK, "network.proxy")
}
