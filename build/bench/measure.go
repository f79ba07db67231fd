package main

import (
	"bufio"
	"bytes"
	"context"
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

// options are the flags.
type options struct {
	binary, only, pair string
	rounds             int
	quick              bool
}

// bench is one run: three processes and a client.
type bench struct {
	options
	home, key      string
	upstream       *process
	plain, patched *process
	client         *http.Client
	pairs          []pair
	streams, count int // parallel streams, chunks each
}

func measure(o options) error {
	home, err := os.MkdirTemp("", "patchbay-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	b := &bench{options: o, home: home, streams: 40, count: 500, pairs: pairs(o.pair),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2000, DisableCompression: true}}}
	if o.quick {
		b.streams, b.count, b.rounds = 25, 400, 1 // fewer chunks would measure the beginning of streams
	}
	if len(b.pairs) == 0 {
		return fmt.Errorf("no pair is called %q", o.pair)
	}
	if err := b.setUp(); err != nil {
		return err
	}
	defer b.upstream.stop()
	defer b.plain.stop()
	return b.run()
}

// run takes the measurements that are wanted, one after the other.
func (b *bench) run() (err error) {
	if b.wants("start") {
		if err := b.startTime(); err != nil {
			return err
		}
	}
	if b.wants("pool") {
		if err := b.pool(); err != nil {
			return err
		}
	}
	if b.only == "pool" {
		return nil
	}
	if b.patched, err = b.serve(); err != nil {
		return err
	}
	defer b.patched.stop()
	if b.wants("idle") {
		time.Sleep(5 * time.Second) // two seconds after its start it gives back what starting took
		fmt.Printf("idle memory: plain %s, patchbay %s\n", mb(b.plain.rss()), mb(b.patched.rss()))
	}
	for _, m := range []struct {
		name string
		each func(pair) error
	}{{"chunk", b.perChunk}, {"first", b.firstContent}, {"long", b.longConversation}} {
		if !b.wants(m.name) || m.name == "long" && b.quick {
			continue
		}
		for _, p := range b.pairs {
			if err := b.warmUp(p); err != nil {
				return err
			}
			if err := m.each(p); err != nil {
				return err
			}
		}
	}
	if b.wants("memory") {
		b.patched.stop() // a person has one Patchbay at a time
		return b.slowStreams()
	}
	return nil
}

func (b *bench) wants(name string) bool { return strings.Contains(name, b.only) }

// setUp starts the upstream and the plain proxy and makes Patchbay's accounts, one provider per format.
func (b *bench) setUp() (err error) {
	if b.upstream, err = b.self("upstream"); err != nil {
		return err
	}
	if b.plain, err = b.self("plain", "-target", b.upstream.url); err != nil {
		return err
	}
	config := "default_provider: " + formats[0].provider() + "\nproviders:\n"
	for i := range formats {
		f := &formats[i]
		config += fmt.Sprintf("  %s:\n    kind: %s\n    base_url: %s%s\n    models: [b-1-0]\n", f.provider(), f.kind, b.upstream.url, f.base)
	}
	if err := os.WriteFile(filepath.Join(b.home, "config.yaml"), []byte(config), 0o600); err != nil {
		return err
	}
	keyFile := filepath.Join(b.home, "upstream.key")
	if err := os.WriteFile(keyFile, []byte("sk-bench-0123456789abcdef\n"), 0o600); err != nil {
		return err
	}
	for i := range formats {
		if _, err := b.command("accounts", "add", formats[i].provider(), "--name", "bench", "--key-file", keyFile); err != nil {
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
	cmd.Env = append(os.Environ(), "PATCHBAY_HOME="+b.home)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("patchbay %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return out, nil
}

// self starts this program in another role.
func (b *bench) self(role string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(nil, self, append([]string{"-role", role}, args...)...)
}

func (b *bench) serve() (*process, error) {
	return start([]string{"PATCHBAY_HOME=" + b.home}, b.binary, "serve", "--listen", "127.0.0.1:0")
}

// ask is one request: to a proxy, in a format.
type ask struct {
	proxy *process
	path  string
	body  []byte
}

// asks returns the request of a pair to the plain proxy and to Patchbay.
func (b *bench) asks(p pair, model string, turns []string) (plain, patched ask) {
	return ask{b.plain, p.upstream.path(model), p.upstream.body(model, turns)}, ask{b.patched, p.through(model), p.client.body(model, turns)}
}

// post sends a request and reads the answer to its end. It calls first at the first content.
func (b *bench) post(ctx context.Context, a ask, first func()) error {
	url := a.proxy.url + a.path
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(a.body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+b.key)
	req.Header.Set("Anthropic-Version", "2023-06-01")
	resp, err := b.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 2048))
		return fmt.Errorf("%s: %s: %s", url, resp.Status, text)
	}
	r := bufio.NewReaderSize(resp.Body, 64<<10)
	seen := false
	for {
		line, err := r.ReadSlice('\n')
		if !seen && bytes.Contains(line, []byte("word0")) {
			seen = true
			first()
		}
		if err == io.EOF && !seen {
			return fmt.Errorf("%s: an answer without content", url)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil && err != bufio.ErrBufferFull {
			return fmt.Errorf("%s: reading the answer: %w", url, err)
		}
	}
}

// timed returns the time to the first content.
func (b *bench) timed(a ask) (d time.Duration, err error) {
	begun := time.Now()
	err = b.post(context.Background(), a, func() { d = time.Since(begun) })
	return d, err
}

func (b *bench) warmUp(p pair) error {
	plain, ours := b.asks(p, "b-5-0", short)
	for range 10 {
		for _, a := range []ask{plain, ours} {
			if _, err := b.timed(a); err != nil {
				return err
			}
		}
	}
	return nil
}

// startTime measures from exec to the first answered request.
func (b *bench) startTime() error {
	once := func(begin func() (*process, error), path string) (time.Duration, error) {
		begun := time.Now()
		p, err := begin()
		if err != nil {
			return 0, err
		}
		defer p.stop()
		_, err = b.timed(ask{p, path, formats[0].body("b-1-0", short)})
		return time.Since(begun), err
	}
	var plain, ours []time.Duration
	for range 2*b.rounds + 1 {
		d, err := once(func() (*process, error) { return b.self("plain", "-target", b.upstream.url) }, formats[0].path(""))
		if err != nil {
			return err
		}
		plain = append(plain, d)
		if d, err = once(b.serve, pair{&formats[0], &formats[0]}.through("")); err != nil {
			return err
		}
		ours = append(ours, d)
	}
	fmt.Printf("start to first answered request: plain %s, patchbay %s\n", ms(median(plain)), ms(median(ours)))
	return nil
}

// firstContent measures what Patchbay adds to the time to the first content, one request at a time.
func (b *bench) firstContent(p pair) error {
	plain, ours, err := b.compare(p, "b-1-0", short, 100*b.rounds, func(a ask) (time.Duration, error) { return b.timed(a) })
	if err != nil {
		return err
	}
	fmt.Printf("first content    %-24s plain %s   patchbay %s   added %s\n", p, ms(median(plain)), ms(median(ours)), ms(median(ours)-median(plain)))
	return nil
}

// perChunk measures CPU per streamed chunk under many paced streams, the two proxies in turn.
func (b *bench) perChunk(p pair) error {
	plain, ours, err := b.compare(p, fmt.Sprintf("b-%d-4000", b.count), short, b.rounds, func(a ask) (time.Duration, error) {
		before := a.proxy.cpu()
		var wg sync.WaitGroup
		errs := make(chan error, b.streams)
		for range b.streams {
			wg.Go(func() {
				if _, err := b.timed(a); err != nil {
					errs <- err
				}
			})
		}
		wg.Wait()
		select {
		case err := <-errs:
			return 0, err
		default:
			return (a.proxy.cpu() - before) / time.Duration(b.streams*b.count), nil
		}
	})
	if err != nil {
		return err
	}
	ratios := make([]float64, len(plain))
	for i := range plain {
		ratios[i] = float64(ours[i]) / float64(plain[i])
	}
	slices.Sort(ratios)
	fmt.Printf("CPU per chunk    %-24s plain %5.1f µs   patchbay %5.1f µs   ratio %.2f\n", p, us(median(plain)), us(median(ours)), ratios[len(ratios)/2])
	return nil
}

// compare measures the two proxies in turn, n times.
func (b *bench) compare(p pair, model string, turns []string, n int, one func(ask) (time.Duration, error)) (plain, ours []time.Duration, err error) {
	first, second := b.asks(p, model, turns)
	for range n {
		x, err := one(first)
		if err != nil {
			return nil, nil, err
		}
		y, err := one(second)
		if err != nil {
			return nil, nil, err
		}
		plain, ours = append(plain, x), append(ours, y)
	}
	return plain, ours, nil
}

// longConversation measures the CPU of one request with 2 MB of history, and of a small one for comparison.
func (b *bench) longConversation(p pair) error {
	for _, c := range []struct {
		name  string
		turns []string
		n     int // requests in a row
	}{{"small request", short, 200}, {"2 MB request ", conversation(2 << 20), 20}} {
		plain, ours, err := b.compare(p, "b-1-0", c.turns, b.rounds, func(a ask) (time.Duration, error) {
			before := a.proxy.cpu()
			for range c.n {
				if _, err := b.timed(a); err != nil {
					return 0, err
				}
			}
			return (a.proxy.cpu() - before) / time.Duration(c.n), nil
		})
		if err != nil {
			return err
		}
		fmt.Printf("CPU of a %s %-24s plain %s   patchbay %s\n", c.name, p, ms(median(plain)), ms(median(ours)))
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
