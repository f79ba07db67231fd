package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"patchbay/backend/api"
	"patchbay/backend/api/apitest"
	"patchbay/backend/events"
	"patchbay/backend/session"
)

// meta keeps facts in memory.
type meta map[string]string

func (m meta) Meta(_ context.Context, name string) (string, error) { return m[name], nil }

func (m meta) SetMeta(_ context.Context, name, value string) error { m[name] = value; return nil }

type paged struct {
	*httptest.Server
	bus      *events.Bus
	sessions *session.Sessions
	done     chan struct{}
}

// servePage serves the API with sessions and a feed.
func servePage(t *testing.T) paged {
	t.Helper()
	sessions, err := session.Open(t.Context(), meta{})
	if err != nil {
		t.Fatal(err)
	}
	p := paged{bus: &events.Bus{}, sessions: sessions, done: make(chan struct{})}
	p.Server = httptest.NewServer(api.Handler(apitest.New(), api.Options{
		Token: func() string { return token }, Sessions: sessions, Bus: p.bus, Done: p.done,
	}))
	t.Cleanup(p.Close)
	return p
}

func (p paged) dial(t *testing.T, protocols []string, head http.Header) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	d := websocket.Dialer{Subprotocols: protocols}
	conn, resp, err := d.DialContext(t.Context(), "ws"+strings.TrimPrefix(p.URL, "http")+"/api/feed", head)
	if err == nil {
		t.Cleanup(func() { conn.Close() })
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second)) // a test that hangs says nothing
	}
	return conn, resp, err
}

func (p paged) feed(t *testing.T) *websocket.Conn {
	t.Helper()
	conn, _, err := p.dial(t, []string{api.FeedProtocol, "bearer." + token}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func frame(t *testing.T, conn *websocket.Conn) []api.FeedHint {
	t.Helper()
	var f api.FeedFrame
	if err := conn.ReadJSON(&f); err != nil {
		t.Fatal(err)
	}
	return f.Hints
}

func TestFeedSaysHelloThenWhatChanged(t *testing.T) {
	p := servePage(t)
	p.bus.Publish(events.Account, "before", nil)
	conn := p.feed(t)
	if conn.Subprotocol() != api.FeedProtocol {
		t.Error(conn.Subprotocol())
	}
	if d := cmp.Diff([]api.FeedHint{{Seq: 1, Topic: "hello"}}, frame(t, conn)); d != "" {
		t.Error(d)
	}
	p.bus.Publish(events.Account, "a", nil)
	p.bus.Publish(events.Notice, "n", "look here")
	var got []api.FeedHint
	for len(got) < 2 {
		got = append(got, frame(t, conn)...)
	}
	if d := cmp.Diff([]api.FeedHint{{Seq: 2, Topic: "account", ID: "a"}, {Seq: 3, Topic: "notice", ID: "n", Data: "look here"}}, got); d != "" {
		t.Error(d)
	}
	resp, _ := call(t, p.Server, "GET", "/api/accounts", "", nil)
	if resp.Header.Get(api.SeqHeader) != "3" {
		t.Errorf("a snapshot does not say how new it is: %q", resp.Header.Get(api.SeqHeader))
	}
}

// TestFeedCoalesces floods a feed: the page gets few frames, and knows in the end that everything is to be read.
func TestFeedCoalesces(t *testing.T) {
	p := servePage(t)
	conn := p.feed(t)
	frame(t, conn)
	const n = 20_000
	for i := range n {
		p.bus.Publish(events.Request, fmt.Sprint(i), nil)
	}
	hints, frames, whole := 0, 0, false
	for last := uint64(0); last < n; frames++ {
		for _, h := range frame(t, conn) {
			hints++
			whole = whole || h.ID == "" && (h.Topic == "request" || h.Topic == "gap")
			last = max(last, h.Seq)
		}
	}
	if !whole || hints > 2*api.FeedHints+frames {
		t.Errorf("%d hints in %d frames, topic as a whole: %v", hints, frames, whole)
	}
}

func TestSettle(t *testing.T) {
	got := api.Settle([]api.FeedHint{{Seq: 9, Topic: "request"}, {Seq: 2, Topic: "request", ID: "r"}, {Seq: 3, Topic: "account", ID: "a"}, {Seq: 1, Topic: "notice", ID: "n"}, {Seq: 8, Topic: "notice"}})
	want := []api.FeedHint{{Seq: 1, Topic: "notice", ID: "n"}, {Seq: 3, Topic: "account", ID: "a"}, {Seq: 8, Topic: "notice"}, {Seq: 9, Topic: "request"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestFeedIsGuarded(t *testing.T) {
	p := servePage(t)
	for name, c := range map[string]struct {
		protocols []string
		head      http.Header
		status    int
	}{
		"no token":           {[]string{api.FeedProtocol}, nil, 401},
		"wrong token":        {[]string{api.FeedProtocol, "bearer.x"}, nil, 401},
		"foreign page":       {[]string{api.FeedProtocol, "bearer." + token}, http.Header{"Origin": {"https://evil.example"}}, 403},
		"page of other port": {[]string{api.FeedProtocol, "bearer." + token}, http.Header{"Origin": {"http://127.0.0.1:1"}}, 403},
	} {
		if _, resp, err := p.dial(t, c.protocols, c.head); err == nil || resp == nil || resp.StatusCode != c.status {
			t.Errorf("%s: %v %v", name, resp, err)
		}
	}
	if _, _, err := p.dial(t, []string{api.FeedProtocol, "bearer." + token}, http.Header{"Origin": {p.URL}}); err != nil {
		t.Error("the own page is refused:", err)
	}
	if resp, body := call(t, p.Server, "GET", "/api/feed", "", nil); resp.StatusCode != 400 || !strings.Contains(body, "WebSocket") {
		t.Error(resp.Status, body)
	}
}

func TestFeedEndsWithItsSession(t *testing.T) {
	p := servePage(t)
	ticket, _ := p.sessions.Ticket()
	s, err := p.sessions.Redeem(t.Context(), ticket)
	if err != nil {
		t.Fatal(err)
	}
	conn, _, err := p.dial(t, []string{api.FeedProtocol, "bearer." + s.Token.Reveal()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	other := p.feed(t)
	frame(t, conn)
	frame(t, other)
	if err := p.sessions.EndAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := conn.ReadMessage(); !websocket.IsCloseError(err, websocket.ClosePolicyViolation) {
		t.Error(err)
	}
	close(p.done)
	if _, _, err := other.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseGoingAway) {
		t.Error("the instance's own feed outlives it:", err)
	}
}

func TestFeedTakesNoLongMessage(t *testing.T) {
	p := servePage(t)
	conn := p.feed(t)
	frame(t, conn)
	_ = conn.WriteMessage(websocket.TextMessage, make([]byte, 1<<20)) // the connection may be cut while it is under way
	if _, _, err := conn.ReadMessage(); err == nil {
		t.Error("a page may send what it likes")
	}
}
