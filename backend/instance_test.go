package backend

import (
	"bufio"
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"patchbay/backend/api"
	"patchbay/backend/api/apitest"
	"patchbay/backend/config"
	"patchbay/backend/secret"
)

func tempPaths(t *testing.T) config.Paths {
	dir := filepath.Join(t.TempDir(), "patchbay")
	return config.Paths{Config: filepath.Join(dir, "config.yaml"), Data: dir, State: filepath.Join(dir, "logs")}
}

func take(t *testing.T, paths config.Paths) *Lock {
	t.Helper()
	l, err := TakeLock(t.Context(), paths)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestOneInstanceAtATime(t *testing.T) {
	paths := tempPaths(t)
	l := take(t, paths)
	if _, err := TakeLock(t.Context(), paths); !errors.Is(err, ErrRunning) {
		t.Error("a second instance got the lock", err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if err := take(t, paths).Release(); err != nil {
		t.Error(err)
	}
}

func TestRunningInstanceIsFound(t *testing.T) {
	paths := tempPaths(t)
	if _, err := Running(t.Context(), paths); !errors.Is(err, ErrNotRunning) {
		t.Fatal("nothing was ever started", err)
	}
	l := take(t, paths)
	token := NewToken()
	srv := httptest.NewServer(api.Handler(apitest.New(), api.Options{Token: token.Reveal}))
	defer srv.Close()
	if err := l.Publish(Instance{PID: os.Getpid(), Port: 1, Token: token, Version: "1", Base: srv.URL}); err != nil {
		t.Fatal(err)
	}
	c, err := Running(t.Context(), paths)
	if err != nil || c.Base() != srv.URL {
		t.Fatal(c, err)
	}
	st, err := os.Stat(filepath.Join(paths.Dir(), infoName))
	if err != nil || runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Error(st.Mode(), err)
	}
	files, err := os.ReadDir(paths.Dir())
	if err != nil || len(files) != 2 {
		t.Error("something was left behind", files, err)
	}

	if err := l.Publish(Instance{Token: secret.New("other"), Base: srv.URL}); err != nil {
		t.Fatal(err)
	}
	if _, err := Running(t.Context(), paths); err == nil || !strings.Contains(err.Error(), "does not answer") || strings.Contains(err.Error(), "other") {
		t.Error(err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(paths.Dir(), infoName)); !errors.Is(err, os.ErrNotExist) {
		t.Error("the file is still there", err)
	}
	if _, err := Running(t.Context(), paths); !errors.Is(err, ErrNotRunning) {
		t.Error(err)
	}
}

// TestStartingInstanceIsWaitedFor has a lock without a file: the instance is not ready yet.
func TestStartingInstanceIsWaitedFor(t *testing.T) {
	paths := tempPaths(t)
	l := take(t, paths)
	defer l.Release()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Running(ctx, paths); err == nil || !strings.Contains(err.Error(), "try again") {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(paths.Dir(), infoName), []byte(`{"token":"abc`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Running(t.Context(), paths); err == nil || strings.Contains(err.Error(), "abc") {
		t.Error(err)
	}
}

func TestPortAloneIsEnough(t *testing.T) {
	path := filepath.Join(t.TempDir(), infoName)
	if err := os.WriteFile(path, []byte(`{"pid":4242,"port":41581,"token":"t","version":"0.1.0"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	i, err := readInstance(path)
	if err != nil || i.Base != "http://127.0.0.1:41581" || i.PID != 4242 || i.Token.Reveal() != "t" {
		t.Error(i, err)
	}
}

func TestTokensDiffer(t *testing.T) {
	a, b := NewToken().Reveal(), NewToken().Reveal()
	if a == b || len(a) != 32 {
		t.Error(len(a))
	}
}

func TestUnusableFolderIsReported(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	paths := config.Paths{Config: filepath.Join(file, "sub", "config.yaml")}
	if _, err := TakeLock(t.Context(), paths); err == nil {
		t.Error("a lock below a file")
	}
	if _, err := Running(t.Context(), paths); err == nil {
		t.Error("an instance below a file")
	}
	full := tempPaths(t)
	if err := os.MkdirAll(filepath.Join(full.Dir(), infoName, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := TakeLock(t.Context(), full); err == nil {
		t.Error("a folder stands where the file should be")
	}
	if err := os.Mkdir(filepath.Join(file+"2"), 0o700); err != nil {
		t.Fatal(err)
	}
	l := &Lock{info: filepath.Join(file+"2", "gone", infoName)}
	if err := l.Publish(Instance{}); err == nil {
		t.Error("published into a folder that is not there")
	}
}

// TestKilledInstanceCountsAsNotRunning runs this test again as a child that takes the lock and publishes itself, and
// kills it.
func TestKilledInstanceCountsAsNotRunning(t *testing.T) {
	if dir := os.Getenv("INSTANCE_TEST_CHILD"); dir != "" {
		l := take(t, config.Paths{Config: filepath.Join(dir, "config.yaml")})
		if err := l.Publish(Instance{Token: NewToken(), Base: "http://127.0.0.1:1"}); err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("ready\n")
		<-t.Context().Done() // it is killed before
	}
	paths := tempPaths(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledInstanceCountsAsNotRunning$")
	cmd.Env = append(os.Environ(), "INSTANCE_TEST_CHILD="+paths.Dir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatal(line, err)
	}
	if _, err := TakeLock(t.Context(), paths); !errors.Is(err, ErrRunning) {
		t.Error("the child's lock does not hold", err)
	}
	if _, err := Running(t.Context(), paths); err == nil || errors.Is(err, ErrNotRunning) {
		t.Error("the child runs and does not answer", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if _, err := os.Stat(filepath.Join(paths.Dir(), infoName)); err != nil {
		t.Error("a killed process cannot have tidied up", err)
	}
	if _, err := Running(t.Context(), paths); !errors.Is(err, ErrNotRunning) {
		t.Error(err)
	}
	l := take(t, paths)
	defer l.Release()
	if _, err := os.Stat(filepath.Join(paths.Dir(), infoName)); !errors.Is(err, os.ErrNotExist) {
		t.Error("what the killed instance left is still there", err)
	}
}
