// Package server is the front door: it listens, keeps strangers out, and serves every wire format through one generic
// handler. It knows no provider and no format; formats come as a list of codecs.
package server

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/clientkey"
	"patchbay/backend/gateway"
	"patchbay/backend/record"
	"patchbay/backend/route"
	"patchbay/backend/wire"
)

// Keys checks client keys.
type Keys interface {
	Check(presented string) (clientkey.Key, bool)
}

// Catalogue knows providers by path segment and lists models.
type Catalogue interface {
	ResolvePath(segment string) (id string, kind route.PathKind)
	// Raw tells whether a name stands for a provider that gets requests as they are, and why it cannot serve now.
	Raw(name string) (id string, raw bool, err error)
	Models(ctx context.Context, provider string) ([]canon.Model, error)
	// Labelled lists the same with the names that carry their provider's label.
	Labelled(ctx context.Context, provider string) ([]canon.Model, error)
	// Permitted leaves of a list what a request like q would be allowed to use.
	Permitted(list []canon.Model, q route.Query) []canon.Model
	// Label describes one model of a provider under such a name.
	Label(provider, model string) canon.Model
	// Find tells which listed model a name means.
	Find(ctx context.Context, q route.Query) (canon.Model, bool)
}

// Settings are what may change while the server runs.
type Settings struct {
	Guard     Guard
	BodyLimit int64         // bytes after decompression
	BodyTime  time.Duration // for a client to send its whole body; 0 = no limit
	KeepAlive time.Duration // silence after which a stream gets a sign of life; 0 = wire.KeepAlive
}

// Options are what a Server needs.
type Options struct {
	Codecs   []wire.Codec // the first one words errors of paths that belong to no format
	Gateway  *gateway.Gateway
	Keys     Keys
	Models   Catalogue
	Settings func() Settings
	API      http.Handler // the management API below /api/, which guards itself; may be nil
	UI       http.Handler // the files of the page below /ui/, open to all; may be nil
	// Session tells whether a token is that of the page, which may call the model endpoints too; may be nil.
	Session  func(ctx context.Context, token string) (clientkey.Key, bool)
	Bodies   *record.Bodies // takes notes of what is sent and answered, where that is wanted; may be nil
	Health   func() Health
	Metrics  func(dst []byte) []byte
	Logger   *slog.Logger
	HeadTime time.Duration // for a client to send its head; 0 = 10 s

	// Host makes the server the host root of that wire.Hosted codec: a listener of its own. API, Health and Metrics are
	// not served there.
	Host string
	// NoKey says whether programs on this machine need no client key; nil = they do.
	NoKey func() bool
}

// Health is what /health says.
type Health struct {
	Status  string   `json:"status"` // ok, degraded or down
	Reasons []string `json:"reasons,omitempty"`
	Version string   `json:"version"`
}

// Values of Health.Status.
const (
	HealthOK       = "ok"
	HealthDegraded = "degraded"
	HealthDown     = "down"
)

// Server serves the model endpoints.
type Server struct {
	o        Options
	mux      *http.ServeMux
	access   map[string]wire.Access // by pattern
	hosts    map[string]*host       // host roots of codecs, by their first path segment
	host     *host                  // the one that this server is, nil for the main one
	http     *http.Server
	inFlight atomic.Int64
	memory   *settler
	base     context.Context // of every request, ended by stop
	stop     context.CancelCauseFunc
}

// New returns a Server; Serve starts it.
func New(o Options) *Server {
	s := &Server{o: o, mux: http.NewServeMux(), memory: newSettler(), access: map[string]wire.Access{}, hosts: map[string]*host{}}
	s.routes()
	base, stop := context.WithCancelCause(context.Background())
	s.base, s.stop = base, stop
	s.http = &http.Server{
		Handler:           s,
		BaseContext:       func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: cmp.Or(o.HeadTime, 10*time.Second),
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
	}
	return s
}

// Serve answers on l until Shutdown.
func (s *Server) Serve(l net.Listener) error {
	s.memory.started()
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// endGrace is how long streams have to write their error event after they were told to end.
const endGrace = 3 * time.Second

// Shutdown stops taking requests, lets streams run for grace, then ends them with their protocol's error event.
func (s *Server) Shutdown(grace time.Duration) error {
	timer := time.AfterFunc(grace, func() { s.stop(gateway.ErrShutdown) })
	defer timer.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), grace+endGrace)
	defer cancel()
	err := s.http.Shutdown(ctx)
	s.stop(gateway.ErrShutdown)
	if errors.Is(err, context.DeadlineExceeded) {
		return s.http.Close()
	}
	return err
}

// InFlight returns how many requests are being answered now.
func (s *Server) InFlight() int64 { return s.inFlight.Load() }

// routes registers the endpoints of all codecs. A pattern that several codecs have goes to the one that claims the
// request, else to the first.
func (s *Server) routes() {
	type owner struct {
		codec wire.Codec
		route wire.Route
	}
	byPattern := map[string][]owner{}
	var order []string
	for _, c := range s.o.Codecs {
		for _, r := range c.Routes() {
			if i := strings.LastIndexByte(r.Pattern, '{'); r.Class == wire.ClassUnsupported && i > 0 && strings.HasSuffix(r.Pattern, "...}") {
				r.Pattern = r.Pattern[:i] // two spellings of one pattern
			}
			if len(byPattern[r.Pattern]) == 0 {
				order = append(order, r.Pattern)
			}
			byPattern[r.Pattern] = append(byPattern[r.Pattern], owner{c, r})
		}
		if h, ok := c.(wire.Hosted); ok {
			s.addHost(c, h)
		}
	}
	for _, pattern := range order {
		owners := byPattern[pattern]
		s.access[pattern] = owners[0].route.Access
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			o := owners[0]
			for _, other := range owners {
				if cl, ok := other.codec.(wire.Claimer); ok && cl.Claims(r) {
					o = other
					break
				}
			}
			s.serve(w, r, o.codec, o.route)
		})
	}
	if s.o.Health != nil && s.host == nil {
		s.mux.HandleFunc("GET /health", s.health)
		s.mux.HandleFunc("GET /metrics", s.metrics)
	}
}

// serve runs the handler of an endpoint's class.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, c wire.Codec, rt wire.Route) {
	if cap := captureOf(r); cap != nil {
		defer func() { cap.Call(c.Name(), string(rt.Op)) }()
	}
	if router, ok := c.(wire.Router); ok && rt.Class == wire.ClassByRequest {
		rt.Op, rt.Class = router.Route(r)
	}
	switch rt.Class {
	case wire.ClassAnswer:
		s.answer(w, r, c, rt.Op)
	case wire.ClassCount:
		s.count(w, r, c, rt.Op)
	case wire.ClassEmbed:
		s.embed(w, r, c, rt.Op)
	case wire.ClassCompact:
		s.compact(w, r, c, rt.Op)
	case wire.ClassUpgrade:
		s.upgrade(w, r, c)
	case wire.ClassImages:
		s.images(w, r, c, rt.Op)
	case wire.ClassModels:
		s.models(w, r, c, rt.Labels)
	case wire.ClassModel:
		s.model(w, r, c)
	case wire.ClassLookup:
		s.lookup(w, r, c, rt.Op)
	case wire.ClassRunning:
		s.running(w, r, c)
	case wire.ClassFixed:
		writeJSON(w, http.StatusOK, c.(wire.Fixed).AppendFixed(nil, rt.Op))
	case wire.ClassRefused:
		_, _, body := c.Error(apierror.New(apierror.RouteNotFound, "not supported by Patchbay"), callerOf(r).RequestID)
		writeJSON(w, http.StatusMethodNotAllowed, body)
	default:
		e := apierror.New(apierror.RouteNotFound, "Patchbay does not serve %s", r.URL.Path)
		e.Code = "unsupported_endpoint"
		s.fail(w, r, c, e)
	}
}
