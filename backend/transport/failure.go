package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"patchbay/backend/apierror"
)

func is(err, target error) bool { return errors.Is(err, target) }

// LimitError returns the error for a limit of waiting that was hit. The name says which: "connect", "TLS handshake",
// "model list".
func LimitError(name string, limit time.Duration) *apierror.Error {
	return apierror.New(apierror.Timeout, "the service did not answer in time: the limit %q of %s was reached", name, limit)
}

// Failure returns err, which a call to a host ended with, as an *apierror.Error: Canceled when the caller gave up, Timeout
// when a limit was hit, else Transport. The text names the host and nothing else of the URL.
func Failure(ctx context.Context, err error, host string) *apierror.Error {
	if e, ok := errors.AsType[*apierror.Error](err); ok {
		return e
	}
	if ctx.Err() != nil {
		return ended(ctx)
	}
	if ue, ok := errors.AsType[*url.Error](err); ok { // it quotes the whole URL
		err = ue.Err
	}
	e := classify(err, host)
	e.Err = err
	Scrub(e)
	return e
}

// ended tells why the context is over: the cause if it is an *apierror.Error (a limit, the end of the program), else
// Canceled.
func ended(ctx context.Context) *apierror.Error {
	cause := context.Cause(ctx)
	if e, ok := errors.AsType[*apierror.Error](cause); ok {
		return e
	}
	e := apierror.New(apierror.Canceled, "the client went away before the answer was complete")
	if errors.Is(cause, context.DeadlineExceeded) {
		e = apierror.New(apierror.Timeout, "the service did not answer in time")
	}
	e.Err = cause
	return e
}

const proxyFails = "the proxy does not work and nothing was sent past it; check its address, user name and password"

func classify(err error, host string) *apierror.Error {
	oe, isOp := errors.AsType[*net.OpError](err)
	viaProxy := isOp && (oe.Op == "proxyconnect" || strings.HasPrefix(oe.Op, "socks"))
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return timedOut(err, isOp && oe.Op == "dial", viaProxy)
	}
	transport := func(format string, args ...any) *apierror.Error {
		return apierror.New(apierror.Transport, format, args...)
	}
	de, isDNS := errors.AsType[*net.DNSError](err)
	switch {
	case viaProxy:
		return transport(proxyFails)
	case isDNS:
		return transport("the name %s cannot be found; check the base URL and the network", de.Name)
	case isErrno(err, syscall.ECONNREFUSED, wsaRefused) && Local(hostName(host)):
		return transport("nothing answers at %s; start that server or check the base URL", host)
	case isErrno(err, syscall.ECONNREFUSED, wsaRefused):
		return transport("%s refuses the connection", host)
	case isCertificate(err):
		return transport("the certificate of %s is not trusted", host)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE),
		isErrno(err, syscall.ECONNRESET, wsaReset):
		return transport("%s cut the connection before it answered", host)
	default:
		return transport("the connection to %s failed", host)
	}
}

func timedOut(err error, dialing, viaProxy bool) *apierror.Error {
	switch {
	case strings.Contains(err.Error(), "TLS handshake timeout"): // net/http has no name for it
		return LimitError("TLS handshake", TLSLimit)
	case viaProxy:
		return LimitError("connect to the proxy", dialLimit(err))
	case dialing:
		return LimitError("connect", dialLimit(err))
	default:
		return apierror.New(apierror.Timeout, "the service did not answer in time")
	}
}

// dialLimit is the limit that a connection was not there within.
func dialLimit(err error) time.Duration {
	if slow, ok := errors.AsType[*slowDial](err); ok {
		return slow.limit
	}
	return ConnectLimit
}

// What Windows says (winsock2.h); package syscall has other numbers for these names there. No other system has errors of
// these numbers.
const (
	wsaReset   = syscall.Errno(10054)
	wsaRefused = syscall.Errno(10061)
)

func isErrno(err error, codes ...syscall.Errno) bool {
	e, ok := errors.AsType[syscall.Errno](err)
	return ok && slices.Contains(codes, e)
}

func isCertificate(err error) bool {
	_, a := errors.AsType[*tls.CertificateVerificationError](err)
	_, b := errors.AsType[x509.UnknownAuthorityError](err)
	_, c := errors.AsType[x509.HostnameError](err)
	_, d := errors.AsType[tls.RecordHeaderError](err)
	return a || b || c || d
}

func hostName(hostport string) string {
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		return h
	}
	return hostport
}

// cut is the error of an answer whose connection ended before it was complete.
func cut(ctx context.Context, err error, host string) *apierror.Error {
	if e, ok := errors.AsType[*apierror.Error](err); ok {
		return e
	}
	if ctx.Err() != nil {
		return ended(ctx)
	}
	e := apierror.New(apierror.Truncated, "%s cut the connection before the answer was complete", host)
	e.Err = fmt.Errorf("reading the answer: %w", err)
	Scrub(e)
	return e
}
