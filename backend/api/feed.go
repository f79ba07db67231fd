package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/gorilla/websocket"

	"patchbay/backend/apierror"
	"patchbay/backend/events"
)

// FeedProtocol is the WebSocket protocol of the feed.
const FeedProtocol = "patchbay.v1"

// Limits of a feed.
const (
	feedEvery  = 100 * time.Millisecond // hints go out together, at most this often
	feedBuffer = 1024                   // events that may wait for the next frame
	feedHints  = 200                    // of one topic in one frame; more become one hint without an id
	feedPing   = 25 * time.Second
	feedSilent = 60 * time.Second // without a sign of life the page is gone
	feedWrite  = 10 * time.Second // for a page to take a frame
	feedRead   = 4 << 10          // bytes of a message; pages have nothing to say
)

var feedEndpoints = []endpoint{
	{
		pattern: "GET /api/feed", raw: serveFeed, gives: of[FeedFrame](), status: http.StatusSwitchingProtocols,
		about: "A WebSocket (protocols patchbay.v1 and bearer.TOKEN) that sends FeedFrame: first a hint hello with the present seq, " +
			"then what changed. A hint says that something is to be read anew; after gap, and after a reconnection, everything is",
	},
}

// FeedFrame is one message of the feed.
type FeedFrame struct {
	Hints []FeedHint `json:"hints"`
}

// FeedHint says that something changed. A snapshot whose X-Patchbay-Seq is not smaller knows of it already.
type FeedHint struct {
	Seq   uint64 `json:"seq"`
	Topic string `json:"topic" oneof:"hello,gap,account,request,config,login,route,files,notice,log"`
	ID    string `json:"id,omitempty"` // what changed; "" = several, or the topic as a whole
	Data  any    `json:"data,omitempty"`
}

// Topics of hints that no owner publishes.
const (
	topicHello = "hello"
	topicGap   = string(events.Gap)
)

func serveFeed(h *handler, w http.ResponseWriter, r *http.Request) {
	if h.o.Bus == nil {
		fail(w, apierror.New(apierror.RouteNotFound, "this instance has no feed"))
		return
	}
	if !websocket.IsWebSocketUpgrade(r) {
		w.Header().Set("Upgrade", "websocket")
		fail(w, apierror.Invalid("", "the feed is a WebSocket: connect with the protocols %s and bearer.TOKEN", FeedProtocol))
		return
	}
	up := websocket.Upgrader{
		Subprotocols: []string{FeedProtocol}, HandshakeTimeout: feedWrite,
		CheckOrigin: func(*http.Request) bool { return true }, // ServeHTTP has checked it
		Error: func(w http.ResponseWriter, _ *http.Request, _ int, reason error) {
			fail(w, apierror.Invalid("", "%s", reason.Error()))
		},
	}
	// The subscription begins before hello says its number, so that nothing falls between the two.
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context())) // a hijacked connection outlives its request
	defer cancel()
	f := &feed{pending: map[string]int{}, wake: make(chan struct{}, 1)}
	hints := h.o.Bus.Subscribe(ctx, feedBuffer)
	f.queue = []FeedHint{{Seq: h.o.Bus.Seq(), Topic: topicHello}}
	conn, err := up.Upgrade(w, r, nil)
	if err != nil {
		return // Error has answered
	}
	defer conn.Close()
	token := bearerOf(r)
	defer h.watchSession(ctx, token, r, cancel)()
	go func() { // ends with ctx
		for ev := range hints {
			f.add(ev)
		}
	}()
	go func() { // ends when the connection does, which it does when this function returns
		defer cancel()
		listen(conn)
	}()
	f.write(ctx, conn, h.o.Done)
}

// watchSession ends a feed whose session has ended.
func (h *handler) watchSession(ctx context.Context, token string, r *http.Request, end func()) (stop func()) {
	if h.o.Sessions == nil {
		return func() {}
	}
	over := make(chan struct{}, 1)
	unwatch := h.o.Sessions.Watch(func() {
		select {
		case over <- struct{}{}:
		default: // it will look anyway
		}
	})
	go func() { // ends with ctx
		every := time.NewTicker(time.Minute) // sessions also end by themselves
		defer every.Stop()
		for {
			select {
			case <-over:
			case <-every.C:
			case <-ctx.Done():
				return
			}
			if !h.admits(r) {
				end()
				return
			}
		}
	}()
	return unwatch
}

// listen reads until the connection ends: it answers pings and notes signs of life. What a page says is ignored.
func listen(conn *websocket.Conn) {
	conn.SetReadLimit(feedRead)
	alive := func() { _ = conn.SetReadDeadline(time.Now().Add(feedSilent)) } // it fails on a closed connection only
	alive()
	conn.SetPongHandler(func(string) error { alive(); return nil })
	for {
		if _, _, err := conn.NextReader(); err != nil {
			return
		}
		alive()
	}
}

// feed gathers hints for one page until its next frame.
type feed struct {
	wake chan struct{}

	mu      sync.Mutex // guards what follows
	queue   []FeedHint
	pending map[string]int // place in queue by topic and id
	count   map[string]int // hints per topic
}

// add puts a hint in. One about the same thing takes the place of the earlier one: the page reads it once.
func (f *feed) add(ev events.Event) {
	hint := FeedHint{Seq: ev.Seq, Topic: string(ev.Topic), ID: ev.ID, Data: ev.Data}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count == nil {
		f.count = map[string]int{}
	}
	if f.count[hint.Topic]++; f.count[hint.Topic] > feedHints {
		hint.ID, hint.Data = "", nil // too many to name: the topic as a whole
	}
	key := hint.Topic + " " + hint.ID
	if at, ok := f.pending[key]; ok {
		f.queue[at] = hint
	} else {
		f.pending[key] = len(f.queue)
		f.queue = append(f.queue, hint)
	}
	select {
	case f.wake <- struct{}{}:
	default: // it is awake
	}
}

// take returns what is to be sent, in the order of numbers.
func (f *feed) take() []FeedHint {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.queue
	f.queue, f.count = nil, nil
	clear(f.pending)
	return settle(out)
}

// write is the only writer of a connection. A page that is too slow to take a frame in time is cut off; it connects again and
// reads everything anew.
func (f *feed) write(ctx context.Context, conn *websocket.Conn, done <-chan struct{}) {
	ping := time.NewTicker(feedPing)
	defer ping.Stop()
	pause := time.NewTicker(feedEvery)
	defer pause.Stop()
	f.wake <- struct{}{} // hello
	for {
		select {
		case <-f.wake:
			if !send(conn, FeedFrame{f.take()}) {
				return
			}
			pause.Reset(feedEvery)
			select { // what comes now waits for the next frame
			case <-pause.C:
			case <-ctx.Done():
			}
		case <-ping.C:
			if conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(feedWrite)) != nil {
				return
			}
		case <-done:
			text := websocket.FormatCloseMessage(websocket.CloseGoingAway, "Patchbay is stopping")
			_ = conn.WriteControl(websocket.CloseMessage, text, time.Now().Add(time.Second)) // it ends either way
			return
		case <-ctx.Done():
			text := websocket.FormatCloseMessage(websocket.ClosePolicyViolation, "the session has ended")
			_ = conn.WriteControl(websocket.CloseMessage, text, time.Now().Add(time.Second)) // it ends either way
			return
		}
	}
}

func send(conn *websocket.Conn, frame FeedFrame) bool {
	if len(frame.Hints) == 0 {
		return true
	}
	b, err := json.Marshal(frame)
	if err != nil {
		// A hint is small and plain; whatever this one holds, the page reads everything anew.
		b, err = json.Marshal(FeedFrame{[]FeedHint{{Seq: frame.Hints[len(frame.Hints)-1].Seq, Topic: topicGap}}})
	}
	return err == nil && conn.SetWriteDeadline(time.Now().Add(feedWrite)) == nil && conn.WriteMessage(websocket.TextMessage, b) == nil
}

// settle sorts the hints of one frame by number. Of a topic that has a hint without an id the others say nothing more; only
// notices are each to be seen.
func settle(hints []FeedHint) []FeedHint {
	whole := map[string]bool{}
	for _, h := range hints {
		if h.ID == "" {
			whole[h.Topic] = true
		}
	}
	out := hints[:0]
	for _, h := range hints {
		if h.ID == "" || !whole[h.Topic] || h.Topic == string(events.Notice) {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b FeedHint) int { return cmp.Compare(a.Seq, b.Seq) })
	return out
}
