package codeassist

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/transport"
	"patchbay/backend/wire"
	"patchbay/backend/wire/gemini"
)

// Stream sends req and yields the answer. What the service refuses about the request's form, its project or its host is mended
// and sent again, each once, before anything of the answer was seen: it counts as one attempt.
func (u *upstream) Stream(ctx context.Context, req *canon.Request) canon.Stream {
	return func(yield func(canon.Event, error) bool) {
		a := &attempt{u: u, ctx: ctx, req: req}
		a.run(yield)
	}
}

// attempt is one request on its way.
type attempt struct {
	u   *upstream
	ctx context.Context
	req *canon.Request // the client's, with what the service needs changed

	model   string // the service's own name
	token   string
	project string
	options gemini.Options
	host    int
	bare    bool // without maxOutputTokens

	moved, signature, thinking, rediscovered bool
}

// run yields the answer of the try that the service takes.
func (a *attempt) run(yield func(canon.Event, error) bool) {
	if err := a.prepare(); err != nil {
		a.fail(yield, err)
		return
	}
	for {
		refused, ok := a.once(yield)
		if ok {
			return
		}
		if !a.mend(refused) {
			a.fail(yield, refused)
			return
		}
	}
}

// fail ends the stream; see transport.Ask for why it stands by itself.
//
//go:noinline
func (a *attempt) fail(yield func(canon.Event, error) bool, err error) {
	yield(canon.Event{}, a.call("").Fill(err))
}

func (a *attempt) call(method string) transport.Call { return a.u.call(a.host, method, a.token, nil) }

// prepare gets what every try needs.
func (a *attempt) prepare() (err error) {
	if a.token, err = a.u.token(a.ctx); err != nil {
		return err
	}
	if a.project, err = a.u.project(a.ctx, a.token); err != nil {
		return err
	}
	a.model = a.u.modelOf(a.req.Model)
	stream := a.req.Stream || a.u.p.streams
	if a.model != a.req.Model || stream != a.req.Stream {
		a.req = a.req.Clone()
		a.req.Model, a.req.Stream = a.model, stream
	}
	a.options = a.u.optionsFor(a.req)
	media, err := gemini.FetchURLs(a.req, a.options)
	if err != nil {
		return err
	}
	a.options.Media, err = transport.FetchMedia(a.ctx, a.u.env.HTTP, media, provider.List(a.u.env.Settings[provider.SettingMediaHosts]))
	if e := apierror.From(err); e != nil && e.Kind == apierror.InvalidRequest {
		e.Param = wire.Field(a.req.Format, "messages")
	}
	return err
}

// optionsFor are the profile's options with what this request asks for.
func (u *upstream) optionsFor(req *canon.Request) gemini.Options {
	o := u.p.options(req.Model)
	o.ForceConvert = true // the service refuses what it does not know, and clients of the Gemini API send more than it knows
	if n := u.env.Note(noteThinking + req.Model); n != "" {
		o.Thinking = n
	}
	functions := slices.ContainsFunc(req.Tools, func(t canon.Tool) bool { return t.Kind != canon.ToolServer })
	o.NoServerTools = o.NoServerTools || functions // they do not mix
	return o
}

// once makes one try. ok says that the stream is over; else refused is why the service did not begin to answer.
func (a *attempt) once(yield func(canon.Event, error) bool) (refused *apierror.Error, ok bool) {
	try, err := a.try()
	if err != nil {
		return apierror.From(err), false
	}
	begun := false
	for ev, err := range transport.Ask(a.ctx, a.u.env.HTTP, try, nil) {
		if err != nil && !begun {
			return apierror.From(err), false
		}
		if !begun && err == nil {
			begun = true
			a.u.served(a.model)
		}
		if !yield(ev, err) || err != nil {
			return nil, true
		}
	}
	return nil, true
}

func (a *attempt) try() (transport.Try, error) {
	x, err := gemini.NewExchange(a.req, a.options)
	if err != nil {
		return transport.Try{}, err
	}
	body, err := a.u.p.envelope(a.u, a, x)
	if err != nil {
		return transport.Try{}, err
	}
	x.Body = nil
	if a.signature {
		x.Dropped = append(x.Dropped, canon.ThoughtsRefused())
	}
	method := ":generateContent"
	if x.Stream {
		method = ":streamGenerateContent?alt=sse"
	}
	c := a.call(method)
	c.Body = body
	return transport.Try{Call: c, Read: nonEmpty(x), Refused: a.u.parse(a.model)}, nil
}

// mend changes what the service refused. It reports false if there is nothing left to change.
func (a *attempt) mend(e *apierror.Error) bool {
	switch {
	case e.BadSignature && !a.signature:
		a.signature = true
		a.options.StripReasoning = true
	case e.Kind == apierror.InvalidRequest && a.u.p.streams && badThinking.MatchString(e.Msg) && !a.thinking:
		a.thinking = true
		return a.otherThinking()
	case e.Kind == apierror.InvalidRequest && a.u.p.streams && badLimit.MatchString(e.Msg) && !a.bare:
		a.bare = true
	case (e.Upstream.Code == reasonConsumer || e.Upstream.Code == reasonDisabled) && !a.rediscovered:
		a.rediscovered = true
		p, err := a.u.findProject(a.ctx, a.token, a.project)
		if err != nil || p == a.project {
			return false
		}
		a.project = p
	case a.u.movesOn(e) && !a.moved && a.host+1 < len(a.u.hosts):
		a.moved = true
		a.host++
		if e.Kind == apierror.RateLimited {
			return pause(a.ctx, softPause)
		}
	default:
		return false
	}
	return true
}

// softPause is between a refusal that gives no reason and the next host.
const softPause = 500 * time.Millisecond

// movesOn reports whether the next host may do what this one did not.
func (u *upstream) movesOn(e *apierror.Error) bool {
	switch e.Kind {
	case apierror.Transport, apierror.Upstream5xx, apierror.Overloaded, apierror.ModelBusy, apierror.ModelNotFound:
		return true
	case apierror.Timeout:
		return e.Upstream.Status == 408 || e.Upstream.Status == 504
	case apierror.RateLimited:
		return e.Upstream.Code == softLimit
	}
	return false
}

const noteThinking = "thinking." // and the model: the form of thinking that it takes

var (
	badThinking = regexp.MustCompile(`(?i)thinking[_ ]?(config|level|budget)`)
	badLimit    = regexp.MustCompile(`(?i)max_?output_?tokens`)
)

// otherThinking turns to the other form of asking for thoughts, and remembers it for the model.
func (a *attempt) otherThinking() bool {
	o := gemini.ThinkLevel
	if a.options.Thinking != gemini.ThinkBudget {
		o = gemini.ThinkBudget
	}
	if a.options.Family == wire.FamilyClaude || strings.Contains(a.model, "claude") {
		return false // it has one form
	}
	a.options.Thinking = o
	a.u.env.Remember(noteThinking+a.model, o)
	return true
}

// uuid makes an id of 32 hex digits in its usual form.
func uuid(hexDigits string) string {
	b := []byte(hexDigits)
	b[12], b[16] = '4', "89ab"[b[16]&3]
	s := string(b)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// sessionUUID is a conversation's id in the form of Gemini CLI.
func sessionUUID(conversation string) string {
	if conversation == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(conversation))
	return uuid(hex.EncodeToString(sum[:16]))
}

// sessionNumber is a conversation's id in the form of Antigravity: a negative number as text. The service's prompt cache goes
// by account and session.
func sessionNumber(conversation string) string {
	if conversation == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(conversation))
	return "-" + strconv.FormatInt(int64(binary.BigEndian.Uint64(sum[:8])&(1<<63-1)), 10)
}

// CountTokens asks the service for the tokens of a prompt.
func (u *upstream) CountTokens(ctx context.Context, req *canon.Request) (int64, error) {
	a := &attempt{u: u, ctx: ctx, req: req}
	n, err := a.count()
	if err != nil {
		return 0, a.call("").Fill(err)
	}
	return n, nil
}

func (a *attempt) count() (int64, error) {
	u := a.u
	if u.p.counts != nil && !u.p.counts(a.req.Model) {
		return 0, apierror.New(apierror.Unsupported, "the service counts no tokens for this model")
	}
	var err error
	if a.token, err = u.token(a.ctx); err != nil {
		return 0, err
	}
	a.model, a.options = u.modelOf(a.req.Model), u.optionsFor(a.req)
	a.options.StripReasoning = true // it refuses thoughts
	list, err := gemini.FetchURLs(a.req, a.options)
	if err != nil {
		return 0, err
	}
	if len(list) > 0 { // not worth fetching twice
		return 0, apierror.New(apierror.Unsupported, "files that stand at an address are not counted")
	}
	x, err := gemini.NewExchange(a.req, a.options)
	if err != nil {
		return 0, err
	}
	c := a.call(":countTokens")
	if c.Body, err = u.countBody(a.model, x.Body); err != nil {
		return 0, err
	}
	body, err := transport.Fetch(a.ctx, u.env.HTTP, c, transport.MaxErrorBody, u.parse(a.model))
	if transport.Missing(err) {
		return 0, apierror.New(apierror.Unsupported, "the service does not count tokens")
	}
	if err != nil {
		return 0, err
	}
	return gemini.ParseCount(body)
}
