package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

// Limits of a picture or document that a request names by its address.
const (
	MediaLimit = 10 * time.Second // from start to end, with all redirects
	MaxMedia   = 20 << 20         // bytes
)

const (
	mediaRedirects = 3
	mediaAtOnce    = 4
	maxMediaSum    = 64 << 20 // bytes of all media of one request
)

// FetchMedia fetches the pictures and PDFs that a request names by address, for services that do not fetch them, through
// the proxy of client, which Clients.Client has made. The result is by address. allow lists hosts ("nas.lan",
// "10.0.0.5:8080") that may be on this machine or its network; nothing else there is ever asked, for whoever writes a prompt
// could look around in it. The first failure ends it all: it is an InvalidRequest that names the host and no more of the
// address, or Canceled.
func FetchMedia(
	ctx context.Context, client *http.Client, list []canon.MediaURL, allow []string,
) (map[string]canon.Media, error) {
	if len(list) == 0 {
		return nil, nil
	}
	own, ok := client.Transport.(agent)
	if !ok {
		return nil, apierror.New(apierror.Internal, "this account has no connection that files can be fetched through")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	f := fetcher{agent: own, allow: allow, got: map[string]canon.Media{}}
	var wg sync.WaitGroup
	slots := make(chan struct{}, mediaAtOnce)
	for _, w := range list {
		wg.Go(func() { // ends with the fetch, which MediaLimit bounds
			slots <- struct{}{}
			defer func() { <-slots }()
			if err := f.one(ctx, w); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		if _, ok := errors.AsType[*apierror.Error](err); !ok {
			err = ended(ctx)
		}
		return nil, err
	}
	return f.got, nil
}

// fetcher fetches the media of one request.
type fetcher struct {
	agent agent
	allow []string

	mu  sync.Mutex // guards got and sum
	got map[string]canon.Media
	sum int
}

// one fetches one address.
func (f *fetcher) one(ctx context.Context, w canon.MediaURL) error {
	if ctx.Err() != nil { // another one has failed
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, MediaLimit, errMediaTime)
	defer cancel()
	u, err := url.Parse(w.URL)
	if err != nil || u.Host == "" {
		return unfetchable("an address in the request", "it is no valid address")
	}
	m, err := f.follow(ctx, u, w.Type)
	switch {
	case errors.Is(context.Cause(ctx), errMediaTime):
		return unfetchable("the file at "+u.Hostname(), errMediaTime.Error())
	case ctx.Err() != nil:
		return ended(ctx)
	case err != nil:
		e := unfetchable("the file at "+u.Hostname(), reasonOf(err))
		e.Err = err
		Scrub(e)
		return e
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sum += len(m.Data); f.sum > maxMediaSum {
		return apierror.New(apierror.InvalidRequest, "the files that this request names by address are larger than %d MiB together; send fewer",
			maxMediaSum>>20)
	}
	f.got[w.URL] = m
	return nil
}

// errMedia is why a file was not fetched, in words for the person who asked.
type errMedia string

// Error returns the reason.
func (e errMedia) Error() string { return string(e) }

var errMediaTime = errMedia(fmt.Sprintf("it did not come within %s", MediaLimit))

const (
	errMediaScheme = errMedia("only http and https addresses are fetched")
	errMediaLogin  = errMedia("it holds a user name or password")
	errMediaHops   = errMedia("it is redirected too often")
	errMediaLocal  = errMedia("it is on this machine or its network; media.allowed_hosts in the settings may let it through")
)

func unfetchable(what, why string) *apierror.Error {
	return apierror.New(apierror.InvalidRequest, "%s could not be fetched for this model, which takes no addresses: %s; send the data itself", what, why)
}

// reasonOf words a failure without giving away more than the host of the address.
func reasonOf(err error) string {
	if m, ok := errors.AsType[errMedia](err); ok {
		return m.Error()
	}
	if e, ok := errors.AsType[*apierror.Error](err); ok {
		return e.Msg
	}
	if de, ok := errors.AsType[*net.DNSError](err); ok {
		return "the name " + de.Name + " cannot be found"
	}
	return classify(err, "its host").Msg
}

// follow asks for a file, and where it is redirected to.
func (f *fetcher) follow(ctx context.Context, u *url.URL, t canon.PartType) (canon.Media, error) {
	for range mediaRedirects + 1 {
		resp, err := f.ask(ctx, u, t)
		if err != nil {
			return canon.Media{}, err
		}
		if resp.StatusCode < 300 || resp.StatusCode > 399 {
			return readMedia(resp, t)
		}
		next, err := resp.Location()
		resp.Body.Close()
		if err != nil {
			return canon.Media{}, errMedia(fmt.Sprintf("the answer was %d without a place to go on", resp.StatusCode))
		}
		u = next
	}
	return canon.Media{}, errMediaHops
}

// ask sends one request, on a connection of its own that goes only where it may.
func (f *fetcher) ask(ctx context.Context, u *url.URL, t canon.PartType) (*http.Response, error) {
	switch {
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errMediaScheme
	case u.User != nil:
		return nil, errMediaLogin
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "image/*")
	if t == canon.PartDocument {
		req.Header.Set("Accept", "application/pdf")
	}
	next, err := f.agent.media.transport(req, allowedHost(f.allow, u))
	if err != nil {
		return nil, err
	}
	return agent{next: next, name: f.agent.name}.RoundTrip(req)
}

// allowedHost reports whether the person has named a host, with its port or for all ports.
func allowedHost(allow []string, u *url.URL) bool {
	return slices.ContainsFunc(allow, func(a string) bool {
		a = strings.ToLower(strings.TrimSpace(a))
		host := strings.ToLower(u.Host)
		return a != "" && (a == host || strings.Trim(a, "[]") == strings.Trim(strings.ToLower(u.Hostname()), "[]"))
	})
}

// readMedia reads the answer if it is what was asked for.
func readMedia(resp *http.Response, t canon.PartType) (canon.Media, error) {
	defer resp.Body.Close()
	switch {
	case resp.StatusCode != http.StatusOK:
		return canon.Media{}, errMedia(fmt.Sprintf("the answer was %d", resp.StatusCode))
	case resp.ContentLength > MaxMedia:
		return canon.Media{}, tooBig()
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	vague := err != nil || kind == "application/octet-stream" || kind == "binary/octet-stream"
	if !vague && !fits(kind, t) {
		return canon.Media{}, wrongKind(kind, t)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, MaxMedia+1))
	switch {
	case err != nil:
		return canon.Media{}, err
	case len(data) > MaxMedia:
		return canon.Media{}, tooBig()
	case len(data) == 0:
		return canon.Media{}, errMedia("it is empty")
	}
	if vague {
		kind, _, _ = mime.ParseMediaType(http.DetectContentType(data))
		if !fits(kind, t) {
			return canon.Media{}, wrongKind(kind, t)
		}
	}
	return canon.Media{MIME: strings.ToLower(kind), Data: data}, nil
}

func tooBig() error { return errMedia(fmt.Sprintf("it is larger than %d MiB", MaxMedia>>20)) }

// fits reports whether a content type is what a part of type t may hold.
func fits(kind string, t canon.PartType) bool {
	if t == canon.PartDocument {
		return kind == "application/pdf"
	}
	return strings.HasPrefix(kind, "image/")
}

func wrongKind(kind string, t canon.PartType) error {
	want := "picture"
	if t == canon.PartDocument {
		want = "PDF"
	}
	return errMedia(fmt.Sprintf("it is no %s but %s", want, kind))
}

// Ranges that are nobody's on the internet, besides those that package netip knows.
var innerRanges = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),      // RFC 791: this network
	netip.MustParsePrefix("100.64.0.0/10"),  // RFC 6598: shared by providers, and by overlay networks such as Tailscale
	netip.MustParsePrefix("192.0.0.0/24"),   // RFC 6890
	netip.MustParsePrefix("240.0.0.0/4"),    // RFC 1112, with the broadcast address
	netip.MustParsePrefix("fec0::/10"),      // RFC 3879: site-local
	netip.MustParsePrefix("64:ff9b:1::/48"), // RFC 8215: local translation to IPv4
}

// Ranges of IPv6 that carry an address of IPv4, with the byte at which it begins.
var carriers = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, // RFC 6052
	{netip.MustParsePrefix("2002::/16"), 2},     // RFC 3056
	{netip.MustParsePrefix("::/96"), 12},        // RFC 4291, IPv4-compatible
}

// inner reports whether an address is this machine's, its network's, or nobody's. The range 198.18.0.0/15 is not among
// them: proxies that take over the whole machine's traffic give such addresses to all names.
func inner(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	if !ip.IsGlobalUnicast() || ip.IsPrivate() { // not: unspecified, loopback, multicast, link-local
		return true
	}
	if slices.ContainsFunc(innerRanges, func(p netip.Prefix) bool { return p.Contains(ip) }) {
		return true
	}
	for _, c := range carriers {
		if ip.Is6() && c.prefix.Contains(ip) {
			b := ip.As16()
			return inner(netip.AddrFrom4([4]byte(b[c.at : c.at+4])))
		}
	}
	return false
}
