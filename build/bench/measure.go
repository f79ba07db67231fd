package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// bench is one run: three processes and a client.
type bench struct {
	binary, home   string
	key            string
	upstream       *process
	plain, patched *process
	client         *http.Client
	rounds         int
	streams, count int // parallel streams, chunks each
}

func measure(binary, only string, rounds int, quick bool) error {
	home, err := os.MkdirTemp("", "patchbay-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	b := &bench{binary: binary, home: home, rounds: rounds, streams: 40, count: 500,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2000, DisableCompression: true}}}
	if quick {
		b.streams, b.count = 20, 100
	}
	if err := b.setUp(); err != nil {
		return err
	}
	defer b.upstream.stop()
	defer b.plain.stop()
	wanted := func(name string) bool { return strings.Contains(name, only) }
	if wanted("start") {
		if err := b.startTime(); err != nil {
			return err
		}
	}
	if b.patched, err = b.serve(); err != nil {
		return err
	}
	defer b.patched.stop()
	if err := b.warmUp(); err != nil {
		return err
	}
	if wanted("idle") {
		time.Sleep(2 * time.Second)
		fmt.Printf("idle RSS                                 plain %s   patchbay %s\n", mb(b.plain.rss()), mb(b.patched.rss()))
	}
	if wanted("first") {
		if err := b.firstContent(); err != nil {
			return err
		}
	}
	for _, p := range pairs {
		if wanted("chunk") {
			if err := b.perChunk(p); err != nil {
				return err
			}
		}
		if wanted("long") {
			if err := b.longConversation(p); err != nil {
				return err
			}
		}
	}
	if wanted("streams") {
		return b.slowStreams()
	}
	return nil
}

// setUp starts the upstream and the plain proxy and makes Patchbay's accounts.
func (b *bench) setUp() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if b.upstream, err = start(nil, self, "-role", "upstream"); err != nil {
		return err
	}
	if b.plain, err = start(nil, self, "-role", "plain", "-target", b.upstream.url); err != nil {
		return err
	}
	config := fmt.Sprintf("default_provider: openai\nproviders:\n  openai:\n    base_url: %s/v1\n    models: [b-1-0]\n  anthropic:\n    base_url: %s\n    models: [b-1-0]\n", b.upstream.url, b.upstream.url)
	if err := os.WriteFile(filepath.Join(b.home, "config.yaml"), []byte(config), 0o600); err != nil {
		return err
	}
	keyFile := filepath.Join(b.home, "upstream.key")
	if err := os.WriteFile(keyFile, []byte("sk-bench-0123456789abcdef\n"), 0o600); err != nil {
		return err
	}
	for _, p := range []string{"openai", "anthropic"} {
		if _, err := b.command("accounts", "add", p, "--name", "bench", "--key-file", keyFile); err != nil {
			return err
		}
	}
	out, err := b.command("keys", "add", "bench", "--json")
	if err != nil {
		return err
	}
	var made struct{ Key string }
	if err := json.Unmarshal(out, &made); err != nil || made.Key == "" {
		return fmt.Errorf("keys add printed %q: %w", out, err)
	}
	b.key = made.Key
	return nil
}

func (b *bench) command(args ...string) ([]byte, error) {
	cmd := exec.Command(b.binary, args...)
	cmd.Env = append(os.Environ(), "PATCHBAY_HOME="+b.home, "PATCHBAY_KEYRING=file")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("patchbay %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return out, nil
}

func (b *bench) serve() (*process, error) {
	return start([]string{"PATCHBAY_HOME=" + b.home, "PATCHBAY_KEYRING=file"}, b.binary, "serve", "--listen", "127.0.0.1:0")
}

// pair is a client protocol in front of an upstream protocol.
type pair struct{ name, path, upstream string }

var pairs = []pair{
	{"openai -> openai", "/openai/v1/chat/completions", "/v1/chat/completions"},
	{"anthropic -> anthropic", "/anthropic/v1/messages", "/v1/messages"},
	{"openai -> anthropic", "/anthropic/v1/chat/completions", "/v1/messages"},
	{"anthropic -> openai", "/openai/v1/messages", "/v1/chat/completions"},
}

// post sends a request and reads the answer to its end. It returns the time to the first content.
func (b *bench) post(url string, body []byte) (time.Duration, error) {
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+b.key)
	req.Header.Set("Anthropic-Version", "2023-06-01")
	begun := time.Now()
	resp, err := b.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 2048))
		return 0, fmt.Errorf("%s: %s: %s", url, resp.Status, text)
	}
	var first time.Duration
	r := bufio.NewReaderSize(resp.Body, 64<<10)
	for {
		line, err := r.ReadSlice('\n')
		if first == 0 && bytes.Contains(line, []byte("word0")) {
			first = time.Since(begun)
		}
		if err == io.EOF {
			return first, nil
		}
		if err != nil && err != bufio.ErrBufferFull {
			return first, fmt.Errorf("%s: reading the answer: %w", url, err)
		}
	}
}

func prompt(model string, stream bool) []byte {
	return fmt.Appendf(nil, `{"model":"%s","stream":%t,"max_tokens":1000,"messages":[{"role":"user","content":"Write many words."}]}`, model, stream)
}

func (b *bench) warmUp() error {
	for _, p := range pairs {
		for range 20 {
			if _, err := b.post(b.patched.url+p.path, prompt("b-5-0", true)); err != nil {
				return err
			}
			if _, err := b.post(b.plain.url+p.upstream, prompt("b-5-0", true)); err != nil {
				return err
			}
		}
	}
	return nil
}

// startTime measures from exec to the first answered request.
func (b *bench) startTime() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	once := func(begin func() (*process, error), path string) (time.Duration, error) {
		begun := time.Now()
		p, err := begin()
		if err != nil {
			return 0, err
		}
		defer p.stop()
		_, err = b.post(p.url+path, prompt("b-1-0", false))
		return time.Since(begun), err
	}
	var plain, ours []time.Duration
	for range 2*b.rounds + 1 {
		d, err := once(func() (*process, error) { return start(nil, self, "-role", "plain", "-target", b.upstream.url) }, "/v1/chat/completions")
		if err != nil {
			return err
		}
		plain = append(plain, d)
		if d, err = once(b.serve, "/v1/chat/completions"); err != nil {
			return err
		}
		ours = append(ours, d)
	}
	fmt.Printf("start to first answered request          plain %s   patchbay %s\n", ms(median(plain)), ms(median(ours)))
	return nil
}

// firstContent measures what Patchbay adds to the time to the first content, one request at a time.
func (b *bench) firstContent() error {
	for _, p := range pairs {
		var plain, ours []time.Duration
		for range 100 * b.rounds {
			d, err := b.post(b.plain.url+p.upstream, prompt("b-1-0", true))
			if err != nil {
				return err
			}
			plain = append(plain, d)
			if d, err = b.post(b.patched.url+p.path, prompt("b-1-0", true)); err != nil {
				return err
			}
			ours = append(ours, d)
		}
		fmt.Printf("time to first content  %-24s plain %s   patchbay %s   added %s\n", p.name, ms(median(plain)), ms(median(ours)), ms(median(ours)-median(plain)))
	}
	return nil
}

// perChunk measures CPU per streamed chunk under many paced streams, the two proxies in turn.
func (b *bench) perChunk(p pair) error {
	model := fmt.Sprintf("b-%d-4000", b.count)
	run := func(proc *process, path string) (time.Duration, error) {
		before := proc.cpu()
		var wg sync.WaitGroup
		errs := make(chan error, b.streams)
		for range b.streams {
			wg.Go(func() {
				if _, err := b.post(proc.url+path, prompt(model, true)); err != nil {
					errs <- err
				}
			})
		}
		wg.Wait()
		select {
		case err := <-errs:
			return 0, err
		default:
		}
		return (proc.cpu() - before) / time.Duration(b.streams*b.count), nil
	}
	var plain, ours []time.Duration
	var ratios []float64
	for range b.rounds {
		a, err := run(b.plain, p.upstream)
		if err != nil {
			return err
		}
		c, err := run(b.patched, p.path)
		if err != nil {
			return err
		}
		plain, ours = append(plain, a), append(ours, c)
		ratios = append(ratios, float64(c)/float64(a))
	}
	slices.Sort(ratios)
	fmt.Printf("CPU per chunk          %-24s plain %5.1f µs   patchbay %5.1f µs   ratio %.2f\n", p.name, us(median(plain)), us(median(ours)), ratios[len(ratios)/2])
	return nil
}

// longConversation measures the CPU of one request with 2 MB of history, and of a small one for comparison.
func (b *bench) longConversation(p pair) error {
	if err := b.oneRequest(p, "CPU of a small request ", prompt("b-1-0", true), 200); err != nil {
		return err
	}
	return b.oneRequest(p, "CPU of a 2 MB request  ", conversation(2<<20), 20)
}

// oneRequest measures the CPU that one request takes, n of them in a row.
func (b *bench) oneRequest(p pair, name string, body []byte, n time.Duration) error {
	run := func(proc *process, path string) (time.Duration, error) {
		before := proc.cpu()
		for range n {
			if _, err := b.post(proc.url+path, body); err != nil {
				return 0, err
			}
		}
		return (proc.cpu() - before) / n, nil
	}
	var plain, ours []time.Duration
	for range b.rounds {
		a, err := run(b.plain, p.upstream)
		if err != nil {
			return err
		}
		c, err := run(b.patched, p.path)
		if err != nil {
			return err
		}
		plain, ours = append(plain, a), append(ours, c)
	}
	fmt.Printf("%s%-24s plain %s   patchbay %s\n", name, p.name, ms(median(plain)), ms(median(ours)))
	return nil
}

// conversation makes a long history of code and prose that both protocols read.
func conversation(size int) []byte {
	var out bytes.Buffer
	out.WriteString(`{"model":"b-1-0","stream":true,"max_tokens":1000,"messages":[`)
	code := strings.Repeat(`func main() {\n\tfmt.Println(\"hello, 世界\")\n\treturn nil\n}\n`, 20)
	prose := strings.Repeat("These are plain words of an answer. ", 40)
	for out.Len() < size {
		fmt.Fprintf(&out, `{"role":"user","content":"%s"},{"role":"assistant","content":[{"type":"text","text":"%s"}]},`, code, prose)
	}
	out.WriteString(`{"role":"user","content":"Go on."}]}`)
	return out.Bytes()
}

// slowStreams measures the memory of many streams that are open at once.
func (b *bench) slowStreams() error {
	const streams = 1000
	run := func(proc *process, path string) (int64, error) {
		var wg sync.WaitGroup
		errs := make(chan error, streams)
		for range streams {
			wg.Go(func() {
				if _, err := b.post(proc.url+path, prompt("b-10-1000000", true)); err != nil {
					errs <- err
				}
			})
		}
		time.Sleep(6 * time.Second)
		rss := proc.rss()
		wg.Wait()
		select {
		case err := <-errs:
			return 0, err
		default:
			return rss, nil
		}
	}
	for _, p := range []pair{pairs[0], pairs[2]} {
		a, err := run(b.plain, p.upstream)
		if err != nil {
			return err
		}
		c, err := run(b.patched, p.path)
		if err != nil {
			return err
		}
		fmt.Printf("RSS at 1,000 streams   %-24s plain %s   patchbay %s\n", p.name, mb(a), mb(c))
	}
	return nil
}

func median(ds []time.Duration) time.Duration {
	s := slices.Clone(ds)
	slices.Sort(s)
	return s[len(s)/2]
}

func ms(d time.Duration) string  { return fmt.Sprintf("%6.2f ms", float64(d.Microseconds())/1000) }
func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
func mb(n int64) string          { return fmt.Sprintf("%5.1f MB", float64(n)/1e6) }
