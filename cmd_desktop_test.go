package main

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	shell "patchbay/app"
	"patchbay/backend"
	"patchbay/backend/api"
	"patchbay/backend/api/apitest"
	"patchbay/backend/config"
	"patchbay/backend/secret"
)

// another runs a Patchbay for the home folder of this test, as a first start does.
func another(t *testing.T) *apitest.Service {
	t.Helper()
	home := t.TempDir()
	t.Setenv("PATCHBAY_HOME", home)
	lock, err := backend.TakeLock(t.Context(), config.Paths{Config: filepath.Join(home, "config.yaml"), Data: home, State: home})
	if err != nil {
		t.Fatal(err)
	}
	svc := apitest.New()
	token := secret.New("0123456789abcdef0123456789abcdef")
	s := httptest.NewServer(api.Handler(svc, api.Options{Token: func() string { return token.Reveal() }}))
	t.Cleanup(func() { s.Close(); _ = lock.Release() })
	if err := lock.Publish(backend.Instance{PID: os.Getpid(), Token: token, Base: s.URL}); err != nil {
		t.Fatal(err)
	}
	return svc
}

// desk runs patchbay as a program of the desktop, with another in its place that returns err.
func desk(t *testing.T, err error, args ...string) (r result, got shell.Options) {
	t.Helper()
	b := newBench()
	b.desk = func(_ context.Context, o shell.Options) error { got = o; return err }
	return b.run(t, args...), got
}

func TestWithoutACommandTheDesktopStarts(t *testing.T) {
	t.Setenv("PATCHBAY_HOME", t.TempDir())
	r, o := desk(t, nil, "--hidden")
	r.check(t, exitOK)
	if !o.Hidden || o.Exe == "" || o.Backend.Version != versionText() || o.Backend.Page == nil {
		t.Errorf("%+v", o)
	}
	if _, o = desk(t, nil); o.Hidden {
		t.Error("it is hidden without being asked")
	}
	r, _ = desk(t, errors.New("no room"))
	r.check(t, exitFailed, "no room")
	r, _ = desk(t, nil, "--window")
	r.check(t, 4, "no window") // this build has none; the parent opens the browser then
}

func TestWithoutAScreenPatchbayServesAndSaysHowToReachIt(t *testing.T) {
	t.Setenv("PATCHBAY_HOME", t.TempDir())
	b := newBench()
	b.server = true
	b.desk = func(context.Context, shell.Options) error { t.Error("the tray was started"); return nil }
	b.run(t).check(t, exitOK, "no desktop here", "listens on http://127.0.0.1:8390", "pb-first", "/ui/#t=")

	svc := another(t)
	svc.Err = nil
	b.startErr = backend.ErrRunning
	b.run(t).check(t, exitOK, "no desktop here")
	if len(svc.Shown) != 1 {
		t.Errorf("the one that runs was asked %d times to show its window", len(svc.Shown))
	}
	b.run(t, "--hidden").check(t, exitOK)
	if len(svc.Shown) != 1 {
		t.Error("a hidden start leaves it alone")
	}
}

func TestASecondStartShowsTheWindowOfTheFirst(t *testing.T) {
	svc := another(t)
	r, _ := desk(t, backend.ErrRunning)
	r.check(t, exitOK)
	r, _ = desk(t, backend.ErrRunning, "--hidden")
	r.check(t, exitOK)
	if len(svc.Shown) != 1 {
		t.Errorf("shown %d times, and at login it is left alone", len(svc.Shown))
	}
}

func TestASecondStartThatGetsNoAnswerSaysSo(t *testing.T) {
	svc := another(t)
	svc.Err = errors.New("broken")
	r, _ := desk(t, backend.ErrRunning)
	r.check(t, exitSilent, "does not answer")
	r, _ = desk(t, nil, "--quit-running")
	r.check(t, exitSilent, "does not answer")
}

func TestQuitRunningWithoutAnotherIsFine(t *testing.T) {
	t.Setenv("PATCHBAY_HOME", t.TempDir())
	r, _ := desk(t, nil, "--quit-running")
	r.check(t, exitOK)
	if strings.TrimSpace(r.out) != "" {
		t.Error(r.out)
	}
}
