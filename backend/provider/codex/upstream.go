package codex

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/transport"
	"patchbay/backend/wire/oai"
	"patchbay/backend/wire/responses"
)

// Headers that OpenAI's own programs and the service exchange (captured from Codex CLI 0.169.0).
const (
	headAccount   = "Chatgpt-Account-Id"
	headSession   = "Session-Id"
	headThread    = "Thread-Id"
	headRequest   = "X-Client-Request-Id"
	headTurnState = "X-Codex-Turn-State"
	headLite      = "X-Openai-Internal-Codex-Responses-Lite"
	headRouting   = "X-Openai-Account-Routing-Override"
)

// options are what the service takes of a request: it refuses every member that Codex CLI 0.169.0 does not send.
var options = responses.Options{
	ForceStream: true, Instructions: true, Include: []string{"reasoning.encrypted_content"}, DropItemIDs: true, ClientMetadata: true, NoSystemRole: true,
	Only: []string{
		"model", "stream", "store", "instructions", "input", "tools", "tool_choice", "parallel_tool_calls", "reasoning", "include", "text",
		"prompt_cache_key", "client_metadata", "service_tier",
	},
}

// Stream sends req and yields the answer. A request that the service refuses for encrypted reasoning of another account, for its
// instructions or for a member that it no longer takes is mended and sent once more.
func (u *upstream) Stream(ctx context.Context, req *canon.Request) canon.Stream {
	return func(yield func(canon.Event, error) bool) { u.ask(ctx, req)(yield) }
}

func (u *upstream) ask(ctx context.Context, req *canon.Request) canon.Stream {
	call, err := u.call(ctx, "/responses")
	if err == nil {
		err = stateless(req)
	}
	if err != nil {
		return canon.Failed(call.Fill(err))
	}
	call.Header.Set("Accept", "text/event-stream")
	u.identify(call.Header, req)
	s := shape{moved: u.note(noteMoved) != "", options: options}
	s.options.Drop = provider.List(u.note(noteRefused + req.Model))
	first, err := u.try(call, req, s)
	if err != nil {
		return canon.Failed(call.Fill(err))
	}
	return transport.Ask(ctx, u.env.HTTP, first, func(e *apierror.Error) (transport.Try, bool) {
		if !u.mend(&s, req.Model, e) {
			return transport.Try{}, false
		}
		second, err := u.try(call, req, s)
		return second, err == nil
	})
}

// stateless refuses what needs a response that was stored: this service stores none.
func stateless(req *canon.Request) error {
	for _, f := range []struct{ name, value string }{
		{"previous_response_id", req.State.PreviousResponse}, {"conversation", req.State.Conversation}, {"prompt", req.State.Prompt}, {"input", req.State.Item},
	} {
		if f.value == "" {
			continue
		}
		e := apierror.Invalid(f.name, "%s names %q, but Codex stores nothing; send the whole conversation", f.name, f.value)
		if f.name == "previous_response_id" {
			e.Code = "previous_response_not_found"
		}
		return e
	}
	return nil
}

// Notes of an account.
const (
	noteRefused = "refused/" // and the model: members that it does not take
	noteMoved   = "instructions_moved"
	noteOrigin  = "origin"  // where the workspace's calls belong
	noteRouting = "routing" // what they say about it
	noteChecked = "checked" // when the workspace was looked at, in Unix seconds
	notePlan    = "plan"
)

func (u *upstream) try(call transport.Call, req *canon.Request, s shape) (transport.Try, error) {
	if _, lite := req.Headers[headLite]; lite && req.Format == responses.Name {
		s.options.Instructions, s.lite = false, true // a Codex program's own form
	}
	x, err := responses.NewExchange(req, s.options)
	if err != nil {
		return transport.Try{}, err
	}
	turn, err := s.finish(x, req)
	if err != nil {
		return transport.Try{}, err
	}
	call.Body, x.Body = x.Body, nil // whoever has it lets go of it once it was sent
	call.Header = call.Header.Clone()
	key := req.Conversation
	if state := u.turnState(key, turn); state != "" && call.Header.Get(headTurnState) == "" {
		call.Header.Set(headTurnState, state)
	}
	head := http.Header{}
	return transport.Try{
		Call: call,
		Head: func(h http.Header) {
			head = h
			u.saw(h)
			u.calm()
			u.keepTurnState(key, h.Get(headTurnState))
		},
		Read:    func(kind string, r io.Reader) canon.Stream { return refining(x.Read(kind, r), &head) },
		Refused: u.refused,
	}, nil
}

// refining says what the errors inside an answer mean with this service.
func refining(s canon.Stream, head *http.Header) canon.Stream {
	return func(yield func(canon.Event, error) bool) {
		for ev, err := range s {
			if err != nil {
				e := apierror.From(err)
				refine(e, *head, []byte(e.Upstream.Body))
				err = e
			}
			if !yield(ev, err) {
				return
			}
		}
	}
}

// droppable are the members without which an answer is still an answer to what was asked.
var droppable = []string{
	"service_tier", "prompt_cache_key", "parallel_tool_calls", "client_metadata", "include", "text", "reasoning",
	responses.DropSummary, responses.DropEffort, responses.DropVerbosity,
}

// The service names the member without quotation marks (router-for-me/CLIProxyAPI, 2026-08).
var unsupported = regexp.MustCompile(`(?i)^unsupported parameter:? ['"\x60]?([a-z_.]+)['"\x60]?`)

// mend changes s so that the service will not refuse the same thing again.
func (u *upstream) mend(s *shape, model string, e *apierror.Error) bool {
	if e.BadSignature {
		changed := !s.options.StripReasoning
		s.options.StripReasoning = true
		return changed
	}
	if e.Kind != apierror.InvalidRequest {
		return false
	}
	m := unsupported.FindStringSubmatch(e.Msg)
	switch {
	case m != nil && slices.Contains(droppable, m[1]) && !slices.Contains(s.options.Drop, m[1]):
		s.options.Drop = append(slices.Clip(s.options.Drop), m[1])
		u.remember(noteRefused+model, strings.Join(s.options.Drop, ","))
		u.env.Log.Info("Service refuses a parameter, repeating without it", "provider", u.env.Provider, "account", u.env.AccountID, "model", model, "param", m[1])
		return true
	case m == nil && !s.moved && strings.Contains(strings.ToLower(e.Msg), "instructions"):
		s.moved = true
		u.remember(noteMoved, "yes")
		u.env.Log.Info("Service refuses instructions, repeating with them as a message", "provider", u.env.Provider, "account", u.env.AccountID, "model", model)
		return true
	}
	return false
}

// call prepares a call with the account's token. The call is good for Fill also when there is an error.
func (u *upstream) call(ctx context.Context, path string) (transport.Call, error) {
	c := transport.Call{URL: u.address() + path, Header: http.Header{}, Idle: u.idle, Provider: u.env.Provider, Account: u.env.AccountID}
	c.Header.Set("Accept", "application/json")
	c.Header.Set("Content-Type", "application/json")
	c.Header.Set("Originator", originator)
	if v := u.note(noteRouting); v != "" && u.own {
		c.Header.Set(headRouting, v)
	}
	if u.env.Token != nil {
		cred, err := u.env.Token(ctx)
		if err != nil {
			return c, err
		}
		key := cred.Access.Reveal()
		c.Secrets = append(c.Secrets, key)
		transport.SetAuth(c.Header, "Authorization", "Bearer ", key)
		if id := accountOf(cred); id != "" {
			c.Header.Set(headAccount, id)
		}
	}
	c.Secrets = append(c.Secrets, transport.SetStatic(c.Header, u.env.Settings, provider.SettingHeaderPrefix)...)
	return c, nil
}

// address returns where the workspace's calls belong.
func (u *upstream) address() string {
	if origin := u.note(noteOrigin); u.own && trusted(origin) {
		return origin + strings.TrimPrefix(baseURL, transport.OriginOf(baseURL))
	}
	return u.base
}

// identify names the conversation in the headers that keep it on one machine of the service and in its prompt cache. A Codex
// program names its own; all three names are the same for a conversation's main thread.
func (u *upstream) identify(h http.Header, req *canon.Request) {
	id := conversationID(req)
	session, thread := id, id
	if req.Format == responses.Name && isUUID(first(req.Headers, headThread)) {
		thread = first(req.Headers, headThread)
		session = cmp.Or(first(req.Headers, headSession), thread)
		if !isUUID(session) {
			session = thread
		}
		transport.Forward(h, req.Headers, headTurnState)
	}
	if req.Format == responses.Name {
		transport.Forward(h, req.Headers, headLite)
	}
	h.Set(headSession, session)
	h.Set(headThread, thread)
	h.Set(headRequest, thread)
}

func first(h map[string][]string, name string) string { return http.Header(h).Get(name) }

// compactOptions are options for a compaction, which is a call of its own form.
var compactOptions = responses.Options{DropItemIDs: true, NoSystemRole: true}

// Compact has the service shorten a conversation.
func (u *upstream) Compact(ctx context.Context, req *canon.Request) (jsontext.Value, error) {
	call, err := u.call(ctx, "/responses/compact")
	if err == nil {
		err = stateless(req)
	}
	if err == nil {
		call.Body, err = responses.CompactBody(req, compactOptions)
	}
	if err != nil {
		return nil, call.Fill(err)
	}
	u.identify(call.Header, req)
	call.Method = http.MethodPost
	answer, err := transport.Fetch(ctx, u.env.HTTP, call, transport.MaxAnswer, u.refused)
	if transport.Missing(err) {
		return nil, apierror.New(apierror.RouteNotFound, "Codex cannot shorten a conversation for this account; let the client do it")
	}
	if err == nil && !oai.Valid(answer) {
		return nil, call.Fill(apierror.New(apierror.Upstream5xx, "the service sent a compaction that cannot be read"))
	}
	return answer, err
}
