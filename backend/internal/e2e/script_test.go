// Package e2e tests the whole program from outside: the real binary, real HTTP, simulated upstreams.
package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"patchbay/backend/simulator"
)

// binary builds the program once; PATCHBAY_BIN names one that is there already.
var binary = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("PATCHBAY_BIN"); bin != "" {
		return filepath.Abs(bin)
	}
	dir, err := os.MkdirTemp("", "patchbay-e2e-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "patchbay")
	cmd := exec.Command("go", "build", "-o", bin, "patchbay")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	built = dir
	return bin, nil
})

var built string // folder to remove at the end

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}

// TestScripts runs testdata/script/*.txtar. What the commands of a script are stands with each function below.
func TestScripts(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the scripts stop programs with an interrupt")
	}
	if _, err := binary(); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("PATCHBAY_HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("PATCHBAY_KEYRING", "file")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"patchbay": command, "misuse": misuse, "serve": serve, "interrupt": interrupt, "sigkill": sigkill, "simulator": simulate, "http": call, "mode": mode,
			"jsonlines": jsonLines, "awaitlines": awaitLines,
		},
	})
}

// command runs patchbay to its end: patchbay ARGUMENTS. With ! it must end with 1, as it does when something failed. `stdin
// FILE` before it gives its input.
func command(ts *testscript.TestScript, neg bool, args []string) {
	want := 0
	if neg {
		want = 1
	}
	expect(ts, want, args)
}

// misuse runs a command line that must be refused as wrong: misuse ARGUMENTS.
func misuse(ts *testscript.TestScript, _ bool, args []string) { expect(ts, 2, args) }

func expect(ts *testscript.TestScript, want int, args []string) {
	bin, err := binary()
	ts.Check(err)
	err = ts.Exec(bin, args...)
	code := 0
	if ee, ok := errors.AsType[*exec.ExitError](err); ok {
		code = ee.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("patchbay %s ended with %d, want %d", strings.Join(args, " "), code, want)
	}
}

// running is a program in the background.
type running struct {
	cmd  *exec.Cmd
	done chan error
}

var programs sync.Map // *testscript.TestScript -> *running

var (
	baseLine = regexp.MustCompile(`(?m)on (http://\S+?),?(?: key (\S+))?$`)
	keyLine  = regexp.MustCompile(`(?m)^  (pb-\S+)$`)
)

// serve starts patchbay in the background and waits until it listens: serve COMMAND ARGUMENTS. It sets BASE, PID, and KEY
// if a first key was made; what it printed is in the file serve.out.
func serve(ts *testscript.TestScript, _ bool, args []string) {
	bin, err := binary()
	ts.Check(err)
	cmd := exec.Command(bin, args...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "PATCHBAY_HOME", "PATCHBAY_KEYRING", "TMPDIR"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	logs, err := os.Create(ts.MkAbs("serve.err"))
	ts.Check(err)
	cmd.Stderr = logs
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	p := &running{cmd: cmd, done: make(chan error, 1)}
	programs.Store(ts, p)
	ts.Defer(func() { _ = p.end(os.Kill); logs.Close() }) // most scripts have stopped it before

	text := readWelcome(out)
	go func() { // ends with the program
		_, _ = io.Copy(io.Discard, out)
		p.done <- cmd.Wait()
	}()
	ts.Check(os.WriteFile(ts.MkAbs("serve.out"), text, 0o600))
	base := baseLine.FindSubmatch(text)
	if base == nil {
		ts.Fatalf("patchbay %s does not listen:\n%s%s", strings.Join(args, " "), text, ts.ReadFile("serve.err"))
	}
	ts.Setenv("BASE", string(base[1]))
	ts.Setenv("PID", fmt.Sprint(cmd.Process.Pid))
	if key := keyLine.FindSubmatch(text); key != nil {
		ts.Setenv("KEY", string(key[1]))
	} else if len(base[2]) > 0 {
		ts.Setenv("KEY", string(base[2]))
	}
}

// readWelcome reads what the program says once it listens. It always ends with how to stop it.
func readWelcome(r io.Reader) []byte {
	var text bytes.Buffer
	for sc := bufio.NewScanner(r); sc.Scan(); {
		text.Write(append(sc.Bytes(), '\n'))
		if strings.HasPrefix(sc.Text(), "Stop with Ctrl+C") {
			break
		}
	}
	return text.Bytes()
}

// end sends sig and waits for the end.
func (p *running) end(sig os.Signal) error {
	if p.cmd.ProcessState != nil {
		return nil
	}
	if err := p.cmd.Process.Signal(sig); err != nil {
		return err
	}
	select {
	case err := <-p.done:
		return err
	case <-time.After(20 * time.Second): // a hung program must not hang the tests
		_ = p.cmd.Process.Kill()
		return errors.New("it does not stop")
	}
}

func background(ts *testscript.TestScript) *running {
	p, ok := programs.LoadAndDelete(ts)
	if !ok {
		ts.Fatalf("nothing runs")
	}
	return p.(*running)
}

// interrupt stops the program as Ctrl+C does; it must end well.
func interrupt(ts *testscript.TestScript, _ bool, _ []string) {
	if err := background(ts).end(os.Interrupt); err != nil {
		ts.Fatalf("stopping: %v\n%s", err, ts.ReadFile("serve.err"))
	}
}

// sigkill ends the program as kill -9 does.
func sigkill(ts *testscript.TestScript, _ bool, _ []string) { _ = background(ts).end(os.Kill) }

// simulate starts the simulated upstreams and sets SIM_OPENAI, SIM_ANTHROPIC and so on to their base URLs.
func simulate(ts *testscript.TestScript, _ bool, _ []string) {
	s := simulator.New(simulator.Options{})
	ts.Check(s.Start())
	ts.Defer(func() { _ = s.Close() }) // cut connections are as good as closed ones
	ts.Setenv("SIM_OPENAI", s.BaseURL(simulator.OpenAI))
	ts.Setenv("SIM_ANTHROPIC", s.BaseURL(simulator.Anthropic))
	ts.Setenv("SIM_RESPONSES", s.BaseURL(simulator.Responses))
	ts.Setenv("SIM_GEMINI", s.BaseURL(simulator.Gemini))
	ts.Setenv("SIM_OLLAMA", s.BaseURL(simulator.Ollama))
}

// call makes a request: http METHOD PATH [FILE] [Header:value...]. Status, headers and body are the standard output. The
// client key in KEY is sent as a bearer token unless a header Authorization is given; an empty one sends none.
func call(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: http METHOD PATH [FILE] [Header:value...]")
	}
	var body []byte
	head := http.Header{"Authorization": {"Bearer " + ts.Getenv("KEY")}}
	for _, a := range args[2:] {
		if name, value, ok := strings.Cut(a, ":"); ok {
			head.Set(name, value)
		} else {
			body = []byte(os.Expand(ts.ReadFile(a), ts.Getenv))
		}
	}
	req, err := http.NewRequest(args[0], ts.Getenv("BASE")+args[1], bytes.NewReader(body))
	ts.Check(err)
	req.Header = head
	if head.Get("Authorization") == "" {
		head.Del("Authorization")
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	resp, err := client.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	var out bytes.Buffer
	fmt.Fprintln(&out, resp.Status)
	ts.Check(resp.Header.Write(&out))
	out.WriteByte('\n')
	_, err = io.Copy(&out, resp.Body)
	ts.Check(err)
	_, err = ts.Stdout().Write(out.Bytes())
	ts.Check(err)
}

// mode checks the permissions of a file: mode 600 FILE.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	st, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", st.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

// jsonLines reads a file with the standard reader of JSON, a value per line: jsonlines COUNT FILE MEMBER... Every value is an
// object that has the members.
func jsonLines(ts *testscript.TestScript, _ bool, args []string) {
	n := 0
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		n++
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil || !strings.HasSuffix(line, "\n") {
			ts.Fatalf("line %d is no JSON: %v", n, err)
		}
		for _, member := range args[2:] {
			if v[member] == nil {
				ts.Fatalf("line %d has no %s", n, member)
			}
		}
	}
	if fmt.Sprint(n) != args[0] {
		ts.Fatalf("%s has %d lines, want %s", args[1], n, args[0])
	}
}

// awaitLines runs patchbay until it prints so many lines: awaitlines COUNT ARGUMENTS. What is written after an answer went out
// is there a moment later.
func awaitLines(ts *testscript.TestScript, _ bool, args []string) {
	bin, err := binary()
	ts.Check(err)
	var out []byte
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		cmd := exec.Command(bin, args[1:]...)
		cmd.Env = []string{"PATCHBAY_HOME=" + ts.Getenv("PATCHBAY_HOME"), "HOME=" + ts.Getenv("HOME"), "PATCHBAY_KEYRING=file"}
		if out, err = cmd.Output(); err == nil && fmt.Sprint(bytes.Count(out, []byte("\n"))) == args[0] {
			return
		}
	}
	ts.Fatalf("there are not %s lines: %v %s", args[0], err, out)
}
