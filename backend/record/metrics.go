package record

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"patchbay/backend/logging"
)

// The numbers of the metrics page are counted and written by hand: the text format is a page of rules, while the usual
// client library adds megabytes of memory to a program that should idle below 25 MB.

// bounds are the upper ends of the histogram's buckets in seconds. Answers of models take from a moment to many minutes.
var bounds = [...]float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}

// maxSeries bounds the number of label pairs; what comes later is counted under "other".
const maxSeries = 1000

type stats struct {
	inFlight atomic.Int64

	mu       sync.Mutex // guards the rest
	requests map[requestLabel]int64
	tokens   map[string]*Tokens // by provider
	first    map[string]*histogram
	total    map[string]*histogram
}

type requestLabel struct {
	provider string
	status   int
}

type histogram struct {
	buckets [len(bounds) + 1]int64
	sum     float64
}

func newStats() stats {
	return stats{requests: map[requestLabel]int64{}, tokens: map[string]*Tokens{}, first: map[string]*histogram{}, total: map[string]*histogram{}}
}

func (s *stats) observe(r *Row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	provider := r.Provider
	label := requestLabel{provider, r.Status}
	if _, ok := s.requests[label]; !ok && len(s.requests) >= maxSeries {
		provider = "other"
		label = requestLabel{provider, 0}
	}
	s.requests[label]++
	addTokens(at(s.tokens, provider), r.Tokens)
	at(s.total, provider).add(r.Total)
	if r.First >= 0 && r.Kind == "" {
		at(s.first, provider).add(r.First)
	}
}

func at[T any](m map[string]*T, key string) *T {
	v := m[key]
	if v == nil {
		v = new(T)
		m[key] = v
	}
	return v
}

func (h *histogram) add(d time.Duration) {
	seconds := d.Seconds()
	i, _ := slices.BinarySearch(bounds[:], seconds)
	h.buckets[i]++
	h.sum += seconds
}

// AccountCount is how many accounts of a provider are in a state.
type AccountCount struct {
	Provider, State string
	N               int
}

// AppendMetrics appends the numbers in the text format of Prometheus. The accounts come from who owns them.
func (l *Log) AppendMetrics(dst []byte, accounts []AccountCount) []byte {
	w := metrics{dst}
	w.head("patchbay_requests_in_flight", "gauge", "Requests being answered now.")
	w.line("patchbay_requests_in_flight", "", float64(l.stats.inFlight.Load()))
	w.head("patchbay_accounts", "gauge", "Accounts by provider and state.")
	for _, a := range accounts {
		w.line("patchbay_accounts", labels("provider", a.Provider, "state", a.State), float64(a.N))
	}
	w.head("patchbay_request_log_waiting", "gauge", "Rows that wait to be written.")
	w.line("patchbay_request_log_waiting", "", float64(len(l.queue)))
	w.head("patchbay_request_log_dropped_total", "counter", "Rows that were lost because the queue was full or the database refused them.")
	w.line("patchbay_request_log_dropped_total", "", float64(l.Dropped()))
	l.stats.append(&w)
	return w.dst
}

func (s *stats) append(w *metrics) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.head("patchbay_requests_total", "counter", "Requests that ended, by the provider that served them and the status sent.")
	byLabel := func(a, b requestLabel) int { return cmp.Or(cmp.Compare(a.provider, b.provider), a.status-b.status) }
	for _, l := range slices.SortedFunc(maps.Keys(s.requests), byLabel) {
		w.line("patchbay_requests_total", labels("provider", l.provider, "status", strconv.Itoa(l.status)), float64(s.requests[l]))
	}
	w.head("patchbay_tokens_total", "counter", "Tokens; input includes cached and cache_write, output includes reasoning.")
	for _, p := range slices.Sorted(maps.Keys(s.tokens)) {
		t := s.tokens[p]
		for _, kind := range []struct {
			name string
			n    int64
		}{{"input", t.Input}, {"cached", t.Cached}, {"cache_write", t.CacheWrite}, {"output", t.Output}, {"reasoning", t.Reasoning}} {
			w.line("patchbay_tokens_total", labels("provider", p, "type", kind.name), float64(kind.n))
		}
	}
	w.histograms("patchbay_first_content_seconds", "Time to the first content of answers that succeeded.", s.first)
	w.histograms("patchbay_request_duration_seconds", "Time to the end of the answer.", s.total)
}

// metrics writes the text format.
type metrics struct{ dst []byte }

func (w *metrics) head(name, kind, help string) {
	w.dst = append(w.dst, "# HELP "+name+" "+help+"\n# TYPE "+name+" "+kind+"\n"...)
}

func (w *metrics) line(name, labels string, v float64) {
	w.dst = append(w.dst, name...)
	w.dst = append(w.dst, labels...)
	w.dst = append(w.dst, ' ')
	w.dst = strconv.AppendFloat(w.dst, v, 'g', -1, 64)
	w.dst = append(w.dst, '\n')
}

func (w *metrics) histograms(name, help string, m map[string]*histogram) {
	w.head(name, "histogram", help)
	for _, p := range slices.Sorted(maps.Keys(m)) {
		h := m[p]
		n := int64(0)
		for i, count := range h.buckets {
			n += count
			le := "+Inf"
			if i < len(bounds) {
				le = strconv.FormatFloat(bounds[i], 'g', -1, 64)
			}
			w.line(name+"_bucket", labels("provider", p, "le", le), float64(n))
		}
		w.line(name+"_sum", labels("provider", p), h.sum)
		w.line(name+"_count", labels("provider", p), float64(n))
	}
}

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// labels writes pairs of name and value.
func labels(pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		b.WriteString("," + pairs[i] + `="` + escape.Replace(pairs[i+1]) + `"`)
	}
	return "{" + b.String()[1:] + "}"
}

// clean makes a text fit for disk: what looks like a secret is masked, and it is cut.
func clean(s string) string {
	if s == "" {
		return s
	}
	s = strings.ToValidUTF8(logging.Redact(s), "\uFFFD")
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "..."
	}
	return s
}
