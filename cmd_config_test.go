package main

import (
	"testing"

	"patchbay/backend/api"
)

func TestConfig(t *testing.T) {
	b := newBench()
	b.svc.SettingList = []api.SettingView{
		{Key: "server.lan", Kind: "switch", Value: false, Default: false, Source: "default"},
		{Key: "timeouts.idle", Kind: "duration", Value: "5m", Default: "5m", Source: "env", From: "PATCHBAY_TIMEOUTS_IDLE"},
		{Key: "routing.aliases", Kind: "map", Value: map[string]any{}, Source: "default"},
	}
	b.run(t, "config").check(t, 0, "server.lan", "false", "PATCHBAY_TIMEOUTS_IDLE")
	b.run(t, "config", "list", "timeouts").check(t, 0, "timeouts.idle")
	b.run(t, "config", "get", "timeouts.idle").check(t, 0, "5m\n")
	b.run(t, "config", "get", "nothing").check(t, 1, "no setting nothing")
	b.run(t, "config", "set", "routing.aliases", `{"fast": "openai/m"}`).check(t, 0, `routing.aliases is {"fast":"openai/m"} now`)
	b.run(t, "config", "set", "server.lan", "true").check(t, 0, "server.lan is true now")
	if v := b.svc.SettingList[0].Value; v != "true" {
		t.Errorf("%#v", v)
	}
	b.run(t, "config", "unset", "server.lan").check(t, 0, "default again")
	b.run(t, "config", "set", "server.lam", "true").check(t, 1, "no such setting")
	b.svc.SettingsProblem = &api.SettingsProblem{Message: "no such setting", Line: 3, Excerpt: "> 3 | x"}
	b.run(t, "config", "list").check(t, 0, "cannot be read", "> 3 | x")
}

func TestPauseAndResume(t *testing.T) {
	b := newBench()
	b.run(t, "pause").check(t, 0, "Paused")
	if !b.svc.StatusView.Paused {
		t.Error("it goes on")
	}
	b.run(t, "resume").check(t, 0, "answers again")
	b.svc.StatusView.Base = ""
	b.run(t, "pause").check(t, 1, "not running")
}
