package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// bridge is a Node process in which the JavaScript libraries run. One question is under way at a time.
type bridge struct {
	t    *testing.T
	mu   sync.Mutex // guards the pipe
	in   io.Writer
	out  *bufio.Reader
	last int
}

// startJS starts the libraries. They must have been installed: `make e2e` does it.
func startJS(t *testing.T) *bridge {
	t.Helper()
	if _, err := os.Stat(filepath.Join("js", "node_modules", "openai")); err != nil {
		t.Fatalf("The JavaScript libraries are not installed; `make e2e` installs them: %v", err)
	}
	cmd := exec.Command("node", "matrix.mjs")
	cmd.Dir = "js"
	cmd.Env = append(os.Environ(), "AI_SDK_LOG_WARNINGS=false")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("node: %v\n%s", err, &stderr)
		}
	})
	return &bridge{t: t, in: in, out: bufio.NewReaderSize(out, 1<<20)}
}

type jsQuestion struct {
	ID     int    `json:"id"`
	SDK    string `json:"sdk"`
	Op     string `json:"op"`
	Base   string `json:"base"`
	Key    string `json:"key"`
	Ask    ask    `json:"ask"`
	Native obj    `json:"native"`
}

type jsReply struct {
	ID     int
	Answer answer
	IDs    []string
	Tokens int
	Err    string
}

func (b *bridge) send(q jsQuestion) (r jsReply, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	q.ID = b.last
	line, err := json.Marshal(q)
	if err != nil {
		return r, err
	}
	if _, err := b.in.Write(append(line, '\n')); err != nil {
		return r, err
	}
	for r.ID != q.ID {
		text, err := b.out.ReadBytes('\n')
		if err != nil {
			return r, err
		}
		if !bytes.HasPrefix(text, []byte(`{"id":`)) {
			b.t.Logf("node: %s", text)
			continue
		}
		r = jsReply{}
		if err := json.Unmarshal(text, &r); err != nil {
			return r, err
		}
	}
	if r.Err != "" {
		return r, errors.New(r.Err)
	}
	return r, nil
}

func (b *bridge) library(name, format string) library { return jsLibrary{b, name, format} }

// jsLibrary is one of the JavaScript libraries.
type jsLibrary struct {
	b         *bridge
	id, proto string
}

func (l jsLibrary) name() string   { return l.id }
func (l jsLibrary) format() string { return l.proto }

func (l jsLibrary) ask(_ context.Context, base, key string, a ask) answer {
	r, err := l.b.send(jsQuestion{SDK: l.id, Op: "ask", Base: base, Key: key, Ask: a, Native: native(l.proto, a)})
	if err != nil {
		return answer{Err: &failure{Message: err.Error(), Library: "bridge"}}
	}
	return r.Answer
}

func (l jsLibrary) models(_ context.Context, base, key string) ([]string, error) {
	r, err := l.b.send(jsQuestion{SDK: l.id, Op: "models", Base: base, Key: key})
	return r.IDs, err
}

func (l jsLibrary) count(_ context.Context, base, key string, a ask) (int, error) {
	r, err := l.b.send(jsQuestion{SDK: l.id, Op: "count", Base: base, Key: key, Ask: a, Native: native(l.proto, a)})
	return r.Tokens, err
}

// isAI reports whether a library is the AI SDK, which has words of its own.
func isAI(l library) bool { return strings.HasPrefix(l.name(), "ai ") }
