package transport

import (
	"context"
	"io"
	"mime"
	"net/http"
	"sync/atomic"
	"time"

	"patchbay/backend/apierror"
)

// Limits of answers.
const (
	MaxAnswer    = 64 << 20 // bytes of an answer in one piece
	MaxErrorBody = 64 << 10 // bytes read of an error answer
	KeptBody     = 4 << 10  // bytes kept of it for the log
	MaxList      = 16 << 20 // bytes of a model list
)

// Limits of waiting where a provider sets none of its own.
const (
	IdleLimit = 300 * time.Second // silence inside an answer
	ListLimit = 10 * time.Second  // a model list, from start to end
)

// localIdle is the silence that a local server may keep: it loads a model first.
const localIdle = 10 * time.Minute

// NoLimit stands in the settings of a provider where its answers may be silent for any time.
const NoLimit = "off"

// Idle returns the silence allowed inside the answers of a service: what the settings say, as a duration in text or NoLimit,
// else the provider's own, else more for a server on this machine; 0 = IdleLimit, less = any time.
func Idle(setting string, own time.Duration, baseURL string) time.Duration {
	if setting == NoLimit {
		return -1
	}
	if d, err := time.ParseDuration(setting); err == nil && d > 0 {
		return d
	}
	if own == 0 && Local(HostOf(baseURL)) {
		return localIdle
	}
	return own
}

// Call is one request to a service.
type Call struct {
	Method string // "" = POST if there is a body, else GET
	URL    string
	Header http.Header // Do adds to it
	Body   []byte
	// Idle bounds the silence inside the answer; 0 = IdleLimit, less = not at all.
	Idle time.Duration
	// Unbounded lets an answer be of any length: it is passed on and never kept.
	Unbounded bool
	// Provider and Account stand in every error.
	Provider, Account string
	// Secrets must not appear in any error.
	Secrets []string
}

// Answer is what a service answered with its head. Body must be closed.
type Answer struct {
	Status int
	Header http.Header
	// Body yields *apierror.Error only: Truncated if the connection is cut, Timeout after silence, Canceled, or
	// Upstream5xx when an answer that is no event stream is larger than MaxAnswer.
	Body io.ReadCloser
}

// OK reports whether the status says success.
func (a *Answer) OK() bool { return a.Status >= 200 && a.Status < 300 }

// ContentType returns the value of the header.
func (a *Answer) ContentType() string { return a.Header.Get("Content-Type") }

const badAddress = "the address of this service is not a valid URL; check its base URL"

// Do sends a call and returns as soon as the head of the answer is there. The error is *apierror.Error without secrets. A
// redirect that was not followed is an error, any other status is not.
func Do(ctx context.Context, client *http.Client, c Call) (*Answer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var sent payload
	req, err := c.request(ctx, client, &sent)
	if err != nil || req.URL.Host == "" {
		cancel(nil)
		return nil, c.fill(apierror.New(apierror.Transport, badAddress), 0, nil)
	}
	host := req.URL.Host
	tap := c.tapped(ctx, req)
	resp, err := client.Do(req)
	sent.answered()
	if err != nil {
		e := Failure(ctx, err, host)
		if tap != nil {
			tap.End(e)
		}
		cancel(nil)
		return nil, c.fill(e, 0, nil)
	}
	if tap != nil {
		tap.Answer(resp.StatusCode, resp.Header)
	}
	if e := refusedHead(resp); e != nil {
		resp.Body.Close() // nothing in it is needed
		if tap != nil {
			tap.End(e)
		}
		cancel(nil)
		return nil, c.fill(e, 0, nil)
	}
	b := &body{rc: resp.Body, tap: tap, host: host, limit: c.Idle, left: MaxAnswer, cancel: cancel,
		fail: func(err error) error { return cut(ctx, err, host) }}
	if c.Unbounded || IsEventStream(resp.Header.Get("Content-Type")) {
		b.left = -1
	}
	if b.limit == 0 {
		b.limit = IdleLimit
	}
	return &Answer{Status: resp.StatusCode, Header: resp.Header, Body: b}, nil
}

// refusedHead returns the error for a head that does not come from the service, or sends us elsewhere.
func refusedHead(resp *http.Response) *apierror.Error {
	if resp.StatusCode == http.StatusProxyAuthRequired {
		e := apierror.New(apierror.Transport, proxyFails)
		e.Upstream.Status = resp.StatusCode
		return e
	}
	return Redirected(resp)
}

func (c *Call) request(ctx context.Context, client *http.Client, sent *payload) (*http.Request, error) {
	method := c.Method
	if method == "" {
		method = http.MethodGet
		if c.Body != nil {
			method = http.MethodPost
		}
	}
	if c.Body != nil {
		ctx = sent.trace(ctx, c.Body)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL, nil)
	if err != nil {
		return nil, err
	}
	if c.Body != nil {
		req.ContentLength = int64(len(c.Body))
		req.GetBody = sent.open
		req.Body, _ = sent.open() // there is one: it was just put there
	}
	if c.Header != nil {
		req.Header = c.Header
	}
	if a, ok := client.Transport.(agent); ok {
		a.sign(req.Header)
	}
	return req, nil
}

// IsEventStream reports whether a content type is that of server-sent events or of lines of JSON: answers whose length
// has no bound.
func IsEventStream(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (t == "text/event-stream" || t == "application/x-ndjson" || t == "application/vnd.amazon.eventstream")
}

// body is an answer's body with its limits.
type body struct {
	rc     io.ReadCloser
	tap    TappedCall // nil = nobody looks on
	host   string
	cancel context.CancelCauseFunc
	fail   func(error) error // what a read error means
	limit  time.Duration
	left   int64 // bytes that may still come, -1 = any number
	timer  *time.Timer
	closed atomic.Bool
}

// Read reads from the service. The limit of silence runs only while it waits, so a slow client never trips it.
func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		return b.full()
	}
	if b.left > 0 && int64(len(p)) > b.left {
		p = p[:b.left]
	}
	switch {
	case b.limit < 0: // it may be silent
	case b.timer == nil:
		b.timer = time.AfterFunc(b.limit, b.silence)
	default:
		b.timer.Reset(b.limit)
	}
	n, err := b.rc.Read(p)
	if b.timer != nil {
		b.timer.Stop()
	}
	if b.left > 0 {
		b.left -= int64(n)
	}
	if b.tap != nil && n > 0 {
		b.tap.Data(p[:n])
	}
	if err == nil || err == io.EOF {
		return n, err
	}
	err = b.fail(err)
	if b.tap != nil {
		b.tap.End(err)
	}
	return n, err
}

// full reports whether more comes than is allowed.
func (b *body) full() (int, error) {
	var one [1]byte
	n, err := io.ReadFull(b.rc, one[:])
	switch {
	case err == io.EOF:
		return 0, io.EOF
	case n == 0 && err != nil:
		return 0, b.fail(err)
	}
	return 0, apierror.New(apierror.Upstream5xx, "the answer of %s is larger than %d MiB", b.host, MaxAnswer>>20)
}

func (b *body) silence() {
	b.cancel(apierror.New(apierror.Timeout, "the service was silent for %s in the middle of its answer (time limit idle)", b.limit))
}

// Close ends the call; what has not come yet is given up.
func (b *body) Close() error {
	if b.closed.Swap(true) {
		return nil
	}
	if b.timer != nil {
		b.timer.Stop()
	}
	err := b.rc.Close()
	if b.tap != nil {
		b.tap.End(nil)
	}
	b.cancel(nil)
	return err
}

// ReadAll reads and closes a body of at most limit bytes. A longer one is an Upstream5xx error.
func ReadAll(r io.ReadCloser, limit int64) ([]byte, error) {
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, apierror.From(err)
	}
	if int64(len(data)) > limit {
		return nil, apierror.New(apierror.Upstream5xx, "the answer of the service is larger than %d MiB", max(limit>>20, 1))
	}
	return data, nil
}

// ErrorBody reads and closes the body of an error answer: what comes of it soon, at most MaxErrorBody bytes.
func (a *Answer) ErrorBody() []byte {
	defer a.Body.Close()
	if b, ok := a.Body.(*body); ok && (b.limit < 0 || b.limit > ListLimit) {
		b.limit = ListLimit
	}
	data, _ := io.ReadAll(io.LimitReader(a.Body, MaxErrorBody)) // the status says enough if the body is cut
	return data
}
