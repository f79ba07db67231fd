package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
)

// slowService answers with an event stream whose pieces come after pauses; without more pieces it falls silent until
// the call ends.
type slowService struct{ pauses []time.Duration }

func (s slowService) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: &slowBody{ctx: r.Context(), pauses: s.pauses}}, nil
}

type slowBody struct {
	ctx    context.Context
	pauses []time.Duration
}

func (b *slowBody) Read(p []byte) (int, error) {
	if len(b.pauses) == 0 {
		<-b.ctx.Done()
		return 0, b.ctx.Err()
	}
	time.Sleep(b.pauses[0])
	b.pauses = b.pauses[1:]
	return copy(p, "x"), nil
}

func (*slowBody) Close() error { return nil }

func TestSilenceIsCutByItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, err := Do(t.Context(), &http.Client{Transport: slowService{[]time.Duration{4 * time.Second, 4 * time.Second}}}, Call{URL: "http://h/", Idle: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		p := make([]byte, 8)
		for range 2 {
			if n, err := a.Body.Read(p); n != 1 || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
			time.Sleep(time.Hour) // a slow client is not the service's silence
		}
		start := time.Now()
		_, err = a.Body.Read(p)
		e := apierror.From(err)
		if e.Kind != apierror.Timeout || !strings.Contains(e.Msg, "time limit idle") || !strings.Contains(e.Msg, "5s") || time.Since(start) != 5*time.Second {
			t.Errorf("%v after %s", e, time.Since(start))
		}
	})
}

func TestErrorBodyIsNotWaitedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, err := Do(t.Context(), &http.Client{Transport: slowService{[]time.Duration{1}}}, Call{URL: "http://h/"})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if got := a.ErrorBody(); string(got) != "x" || time.Since(start) > ListLimit+1 {
			t.Errorf("%q after %s", got, time.Since(start))
		}
	})
}

func TestLimitsOfTheCallerKeepTheirName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cl := &http.Client{Transport: slowService{}}
		read := func(ctx context.Context) *apierror.Error {
			a, err := Do(ctx, cl, Call{URL: "http://h/"})
			if err != nil {
				return apierror.From(err)
			}
			defer a.Body.Close()
			_, err = io.ReadAll(a.Body)
			return apierror.From(err)
		}
		named, cancel := context.WithTimeoutCause(t.Context(), time.Second, LimitError("first event", time.Second))
		defer cancel()
		if e := read(named); e.Kind != apierror.Timeout || !strings.Contains(e.Msg, "first event") {
			t.Errorf("%v", e)
		}
		deadline, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if e := read(deadline); e.Kind != apierror.Timeout {
			t.Errorf("%v", e)
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		if e := read(gone); e.Kind != apierror.Canceled {
			t.Errorf("%v", e)
		}
	})
}

func TestGiantAnswerIsCut(t *testing.T) {
	block := bytes.Repeat([]byte("x"), 1<<20)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			w.Header().Set("Content-Type", "text/event-stream")
		}
		for range MaxAnswer>>20 + 1 {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}))
	defer srv.Close()
	cl := clientFor(t, Options{}, "")
	read := func(path string) (int64, error) {
		a, err := Do(t.Context(), cl, Call{URL: srv.URL + path})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		return io.Copy(io.Discard, a.Body)
	}
	if n, err := read("/whole"); n != MaxAnswer || apierror.KindOf(err) != apierror.Upstream5xx || !strings.Contains(err.Error(), "64 MiB") {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := read("/stream"); n != MaxAnswer+1<<20 || err != nil {
		t.Errorf("a stream has no limit in all: %d, %v", n, err)
	}
	a, err := Do(t.Context(), cl, Call{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	if got := a.ErrorBody(); len(got) != MaxErrorBody {
		t.Errorf("%d bytes of an error", len(got))
	}
}

func TestAnswerOfExactlyTheLimitIsWhole(t *testing.T) {
	b := &body{rc: io.NopCloser(strings.NewReader("four")), limit: time.Hour, left: 4, cancel: func(error) {}, fail: func(err error) error { return err }}
	if got, err := io.ReadAll(b); string(got) != "four" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	b = &body{rc: io.NopCloser(io.MultiReader(strings.NewReader("four"), errReader{})), limit: time.Hour, left: 4, cancel: func(error) {}, fail: func(error) error { return io.ErrClosedPipe }}
	if _, err := io.ReadAll(b); err != io.ErrClosedPipe {
		t.Errorf("%v", err)
	}
	if _, err := ReadAll(io.NopCloser(strings.NewReader("12345")), 4); apierror.KindOf(err) != apierror.Upstream5xx {
		t.Errorf("%v", err)
	}
	if _, err := ReadAll(io.NopCloser(errReader{}), 4); err == nil {
		t.Error("the error of a read was lost")
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("broken") }

func TestCutConnections(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			io.WriteString(w, "half")
			w.(http.Flusher).Flush()
		}
		panic(http.ErrAbortHandler)
	}))
	defer srv.Close()
	cl := clientFor(t, Options{}, "")
	if _, err := get(t, cl, srv.URL+"/head"); err == nil || err.Kind != apierror.Transport || !strings.Contains(err.Msg, "before it answered") {
		t.Errorf("%v", err)
	}
	if _, err := get(t, cl, srv.URL+"/body"); err == nil || err.Kind != apierror.Truncated {
		t.Errorf("%v", err)
	}
}

func TestClosingEndsTheCallAtTheService(t *testing.T) {
	ended := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(ended)
	}))
	defer srv.Close()
	a, err := Do(t.Context(), clientFor(t, Options{}, ""), Call{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	if !a.OK() || a.ContentType() != "" {
		t.Errorf("%d %q", a.Status, a.ContentType())
	}
	a.Body.Close()
	if err := a.Body.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	<-ended
}

func TestFailureSaysWhatHappened(t *testing.T) {
	dial := func(err error) error {
		return &url.Error{Op: "Post", URL: "https://u:canary@h/?key=canary", Err: &net.OpError{Op: "dial", Net: "tcp", Err: err}}
	}
	for _, c := range []struct {
		name string
		err  error
		host string
		kind apierror.Kind
		says string
	}{
		{"connect limit", dial(os.ErrDeadlineExceeded), "h", apierror.Timeout, `"connect"`},
		{"proxy limit", &net.OpError{Op: "proxyconnect", Err: os.ErrDeadlineExceeded}, "h", apierror.Timeout, "proxy"},
		{"handshake limit", timeoutError("net/http: TLS handshake timeout"), "h", apierror.Timeout, "TLS handshake"},
		{"another limit", timeoutError("timeout awaiting response headers"), "h", apierror.Timeout, "in time"},
		{"no such name", dial(&net.DNSError{Name: "nowhere.example"}), "nowhere.example", apierror.Transport, "nowhere.example cannot be found"},
		{"refused here", dial(syscall.ECONNREFUSED), "127.0.0.1:11434", apierror.Transport, "nothing answers at 127.0.0.1:11434"},
		{"refused there", dial(syscall.ECONNREFUSED), "api.example:443", apierror.Transport, "refuses"},
		{"refused here, on Windows", dial(syscall.Errno(10061)), "localhost:1234", apierror.Transport, "nothing answers at localhost:1234"},
		{"reset", &url.Error{Op: "Post", URL: "x", Err: syscall.ECONNRESET}, "h", apierror.Transport, "cut"},
		{"our own", fmt.Errorf("x: %w", apierror.Invalid("p", "q")), "h", apierror.InvalidRequest, "q"},
		{"anything", errors.New("strange ?key=canary"), "h", apierror.Transport, "failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := Failure(t.Context(), c.err, c.host)
			if e.Kind != c.kind || !strings.Contains(e.Msg, c.says) || strings.Contains(e.Error(), "canary") {
				t.Errorf("%v", e)
			}
		})
	}
}

type timeoutError string

func (e timeoutError) Error() string { return string(e) }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"plain text":                                       "plain text",
		"https://ann:pw@host/x":                            "https://[secret]@host/x",
		"GET /v1?key=abcdef&alt=sse":                       "GET /v1?key=[secret]&alt=sse",
		`{"access_token":"abc","n":1}`:                     `{"access_token":"[secret]","n":1}`,
		"Authorization: Bearer abcdefgh12345":              "Authorization: Bearer [secret]",
		"wrong key sk-proj-0123456789abcdef.":              "wrong key [secret].",
		"AIzaSyA0123456789012345678901 ya29.abcdefghijklm": "[secret] [secret]",
		"eyJhbGciOiJ.eyJzdWIiOiIx.sig":                     "[secret]",
		"ghp_0123456789abcdefghij0":                        "[secret]",
		"given my-own-key here":                            "given [secret] here",
		"a task-list of asks":                              "a task-list of asks",
	} {
		if got := Redact(in, "my-own-key", "abc"[:0]); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestScrubReachesEveryText(t *testing.T) {
	inner := errors.New("inner canary-1")
	e := &apierror.Error{Msg: "m canary-1", Param: "p canary-1", Upstream: apierror.Upstream{Code: "c canary-1", Body: strings.Repeat("y", KeptBody-4) + "canary-1"}, Err: fmt.Errorf("x: %w", inner)}
	e = Call{Provider: "p", Account: "a", Secrets: []string{"canary-1"}}.fill(e, 418, nil)
	all := fmt.Sprintf("%+v %s", *e, e.Err)
	if strings.Contains(all, "canary-1") || strings.Contains(all, "cana") {
		t.Error(all)
	}
	if !errors.Is(e, inner) || e.Upstream.Status != 418 || e.Provider != "p" || e.AccountID != "a" || len(e.Upstream.Body) > KeptBody {
		t.Errorf("%+v", e)
	}
	e = Call{Secrets: []string{"canary-1"}}.fill(&apierror.Error{}, 500, []byte("body canary-1 \xff"))
	if diff := cmp.Diff("body [secret] \ufffd", e.Upstream.Body); diff != "" {
		t.Error(diff)
	}
}

func TestSharedCauseStaysAsItIs(t *testing.T) {
	stopping := apierror.New(apierror.Shutdown, "Patchbay is stopping")
	before := *stopping
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stopping)
	_, err := Do(ctx, http.DefaultClient, Call{Method: "GET", URL: "http://127.0.0.1:1/", Provider: "p", Account: "a"})
	e, ok := errors.AsType[*apierror.Error](err)
	if !ok || e.Kind != apierror.Shutdown || e.AccountID != "a" {
		t.Errorf("%+v", err)
	}
	if diff := cmp.Diff(before, *stopping); diff != "" {
		t.Errorf("the account of one request was written into the cause of all:\n%s", diff)
	}
}

func TestBaseURL(t *testing.T) {
	for in, want := range map[string]string{
		" https://API.example/v1/ ":                         "https://api.example/v1",
		"https://h/v1/chat/completions":                     "https://h/v1",
		"https://h/v1/chat/completions/?x=1#y":              "https://h/v1",
		"https://h":                                         "https://h",
		"h.example":                                         "https://h.example",
		"h.example:8443/api/v4":                             "https://h.example:8443/api/v4",
		"localhost:1234/v1":                                 "http://localhost:1234/v1",
		"192.168.1.4:8080":                                  "http://192.168.1.4:8080",
		"http://0.0.0.0:11434/v1":                           "http://127.0.0.1:11434/v1",
		"https://h/v1/models":                               "https://h/v1",
		"https://generativelanguage.example/v1beta/openai/": "https://generativelanguage.example/v1beta/openai",
	} {
		if got, err := BaseURL(in, "/chat/completions", "/models"); got != want || err != nil {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "  ", "ftp://h/v1", "http://", "https://u:canary@h/v1", "http://h\x7f"} {
		_, err := BaseURL(in)
		if e := apierror.From(err); err == nil || e.Param != "base_url" || strings.Contains(e.Error(), "canary") {
			t.Errorf("%q: %v", in, err)
		}
	}
	if HostOf("https://h.example:1/x") != "h.example" || HostOf("http://\x7f") != "" {
		t.Error("HostOf")
	}
}

func TestHeaders(t *testing.T) {
	h := http.Header{}
	SetAuth(h, "Authorization", "Bearer ", "")
	secrets := SetStatic(h, map[string]string{"header.x-title": "Patchbay", "header.X-Auth-Thing": "canary", "header.Host": "evil", "header.bad": "a\r\nb", "header.": "x", "base_url": "y"}, "header.")
	Forward(h, map[string][]string{"Anthropic-Beta": {"a", "b"}, "Cookie": {"c"}}, "anthropic-beta", "anthropic-version")
	want := http.Header{"X-Title": {"Patchbay"}, "X-Auth-Thing": {"canary"}, "Anthropic-Beta": {"a", "b"}}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if diff := cmp.Diff([]string{"canary"}, secrets); diff != "" {
		t.Error(diff)
	}
	SetAuth(h, "X-Api-Key", "", "k")
	if h.Get("x-api-key") != "k" {
		t.Error("no key")
	}
}

func TestIdleLimitComesFromTheNearestPlace(t *testing.T) {
	for _, c := range []struct {
		setting string
		own     time.Duration
		base    string
		want    time.Duration
	}{
		{"90s", time.Minute, "http://127.0.0.1:1", 90 * time.Second},
		{"", time.Minute, "http://127.0.0.1:1", time.Minute},
		{"nonsense", 0, "http://127.0.0.1:1", 10 * time.Minute},
		{"", 0, "https://api.example", 0},
		{NoLimit, time.Minute, "http://127.0.0.1:1", -1},
	} {
		if got := Idle(c.setting, c.own, c.base); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
