package openaicompat

import (
	"context"
	"io"
	"net/http"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/transport"
	"patchbay/backend/wire/openai"
)

// Special is what one service of this kind does that neither settings nor quirks can say. Every member may be missing.
type Special struct {
	// NoList says that the service has no list of models, so that a login cannot be tested for free either.
	NoList bool
	// Quirks are always on, before those of the settings.
	Quirks []string
	// Base returns where the calls of a login go, "" for the base URL. It is not asked where a person has set one.
	Base func(c provider.Credential) string
	// Sign adds headers to a call. It is asked once more for a repetition. req is nil for a call that is no request for an
	// answer.
	Sign func(h http.Header, c provider.Credential, req *canon.Request)
	// Options changes how one request is written.
	Options func(o *openai.Options, req *canon.Request)
	// Refine says what an error means with this service, also one inside an answer; header is nil there.
	Refine func(e *apierror.Error, header http.Header, c provider.Credential)
	// Again reports that a request which was refused may be good when it is signed anew.
	Again func(e *apierror.Error) bool
	// Answer changes the events of an answer.
	Answer func(s canon.Stream) canon.Stream
}

// With returns the driver of a service that does something special.
func (d Driver) With(s Special) Driver {
	d.special = &s
	return d
}

// base returns where the calls of a login go.
func (u *upstream) baseOf(c provider.Credential) string {
	if u.env.Settings[provider.SettingBaseURL] == "" && u.special.Base != nil {
		if base := u.special.Base(c); base != "" {
			return base
		}
	}
	return u.base
}

func (u *upstream) sign(h http.Header, c provider.Credential, req *canon.Request) {
	if u.special.Sign != nil {
		u.special.Sign(h, c, req)
	}
}

// refusedTo reads the refusals of a login's calls.
func (u *upstream) refusedTo(c provider.Credential) func(int, http.Header, []byte) *apierror.Error {
	if u.special.Refine == nil {
		return openai.ParseError
	}
	return func(status int, h http.Header, body []byte) *apierror.Error {
		e := openai.ParseError(status, h, body)
		u.special.Refine(e, h, c)
		return e
	}
}

// reading is how the answers of a login's calls are read.
func (u *upstream) reading(x *openai.Exchange, c provider.Credential) func(string, io.Reader) canon.Stream {
	if u.special.Refine == nil && u.special.Answer == nil {
		return x.Read
	}
	return func(kind string, r io.Reader) canon.Stream {
		s := x.Read(kind, r)
		if u.special.Answer != nil {
			s = u.special.Answer(s)
		}
		if u.special.Refine != nil {
			s = refining(s, c, u.special.Refine)
		}
		return s
	}
}

// refining says what the errors inside an answer mean.
func refining(s canon.Stream, c provider.Credential, refine func(*apierror.Error, http.Header, provider.Credential)) canon.Stream {
	return func(yield func(canon.Event, error) bool) {
		for ev, err := range s {
			if err != nil {
				e := apierror.From(err)
				refine(e, nil, c)
				err = e
			}
			if !yield(ev, err) {
				return
			}
		}
	}
}

// credential returns the login that a call is made with.
func (u *upstream) credential(ctx context.Context) (provider.Credential, error) {
	if u.env.Token == nil {
		return provider.Credential{}, nil
	}
	return u.env.Token(ctx)
}

// get sends a call that is no request for an answer.
func (u *upstream) get(ctx context.Context, call transport.Call, c provider.Credential, limit int64) ([]byte, error) {
	u.sign(call.Header, c, nil)
	return transport.Fetch(ctx, u.env.HTTP, call, limit, u.refusedTo(c))
}
