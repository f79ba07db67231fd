package openaicompat

import (
	"context"
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

// Responses is the driver for services that speak OpenAI Responses: OpenAI itself, and whatever a person adds as a provider
// of kind "openai-responses". The zero value is OpenAI.
type Responses struct{ info *provider.Info }

var _ provider.Driver = Responses{}

// NewResponses returns the driver of a provider that is not built in. What info leaves open is filled in: the wire format,
// the form of its settings, and a login by key.
func NewResponses(info provider.Info) Responses {
	info.Wire = responses.Name
	if info.Status == "" {
		info.Status = provider.StatusActive
	}
	if info.Fields == nil {
		info.Fields = slices.DeleteFunc(slices.Clone(fields), func(f provider.Field) bool { return f.Key == provider.SettingMaxTokens })
	}
	if info.Logins == nil {
		info.Logins = []provider.Login{{Kind: "key", Label: "API key"}}
	}
	return Responses{&info}
}

// builtInResponses is OpenAI by its newer endpoint. Base URL and forms of keys: OpenAI's public API reference.
var builtInResponses = NewResponses(provider.Info{
	ID: "openai-responses", Name: "OpenAI Responses", Aliases: []string{"openaiResponses-custom"}, BaseURL: "https://" + ownHost + "/v1",
	KeyURL: "https://platform.openai.com/api-keys", KeyEnv: []string{"OPENAI_API_KEY"},
	Models: []canon.Model{oai.KnownModel("gpt-5"), oai.KnownModel("gpt-5-mini")},
})

// Info describes the service.
func (d Responses) Info() provider.Info {
	if d.info == nil {
		return *builtInResponses.info
	}
	return *d.info
}

// Open prepares the service for one account.
func (d Responses) Open(env provider.Env) (provider.Upstream, error) {
	up, err := Driver{info: pointer(d.Info())}.open(env)
	if err != nil {
		return nil, err
	}
	r := &responder{upstream: up, options: responses.Options{OwnHost: transport.HostOf(up.base) == ownHost, Store: true}}
	for _, name := range provider.List(env.Settings[provider.SettingQuirks]) {
		if !applyResponsesQuirk(&r.options, name) {
			up.env.Log.Warn("Unknown quirk is ignored", "provider", up.env.Provider, "quirk", name)
		}
	}
	return r, nil
}

func pointer(i provider.Info) *provider.Info { return &i }

// applyResponsesQuirk sets what a quirk means. It reports whether there is such a quirk.
func applyResponsesQuirk(o *responses.Options, quirk string) bool {
	name, v, _ := strings.Cut(quirk, "=")
	switch name {
	case "own_host":
		o.OwnHost = true
	case "convert":
		o.ForceConvert = true
	case "rerender":
		o.Rerender = true
	case "force_stream":
		o.ForceStream = true
	case "no_store":
		o.Store = false
	case "no_system_role":
		o.NoSystemRole = true
	case "no_item_ids":
		o.DropItemIDs = true
	case "efforts":
		o.Efforts = strings.Split(v, "|")
		return v != ""
	case "drop":
		o.Drop = append(o.Drop, v)
		return v != ""
	default:
		return false
	}
	return true
}

// responder answers by the Responses endpoint. Address, key, model list and embeddings are those of Chat.
type responder struct {
	*upstream
	options responses.Options // as configured, before anything that was learned
}

var (
	_ provider.Upstream     = (*responder)(nil)
	_ provider.TokenCounter = (*responder)(nil)
	_ provider.Compactor    = (*responder)(nil)
	_ provider.Embedder     = (*responder)(nil)
	_ provider.Tester       = (*responder)(nil)
)

// Stream sends req and yields the answer. A request that the service refuses for a parameter it does not know, or for
// encrypted reasoning that it cannot read, is mended and sent once more.
func (r *responder) Stream(ctx context.Context, req *canon.Request) canon.Stream {
	return func(yield func(canon.Event, error) bool) { r.ask(ctx, req)(yield) }
}

func (r *responder) ask(ctx context.Context, req *canon.Request) canon.Stream {
	o := r.learned(req.Model)
	call, err := r.prepare(ctx, req, "/responses")
	if err != nil {
		return canon.Failed(call.Fill(err))
	}
	first, err := tryResponses(call, req, o)
	if err != nil {
		return canon.Failed(call.Fill(err))
	}
	repair := func(e *apierror.Error) (transport.Try, bool) {
		if !r.mend(&o, req.Model, e) {
			return transport.Try{}, false
		}
		second, err := tryResponses(call, req, o)
		return second, err == nil
	}
	return transport.Ask(ctx, r.env.HTTP, first, repair)
}

func (r *responder) prepare(ctx context.Context, req *canon.Request, path string) (transport.Call, error) {
	call, err := r.call(ctx, path)
	if err == nil && req.Format == responses.Name {
		transport.Forward(call.Header, req.Headers, "OpenAI-Beta", "Idempotency-Key")
	}
	return call, err
}

func tryResponses(call transport.Call, req *canon.Request, o responses.Options) (transport.Try, error) {
	x, err := responses.NewExchange(req, o)
	if err != nil {
		return transport.Try{}, err
	}
	call.Body, x.Body = x.Body, nil // whoever has it lets go of it once it was sent
	call.Header = call.Header.Clone()
	if x.Stream {
		call.Header.Set("Accept", "text/event-stream")
	}
	return transport.Try{Call: call, Read: x.Read, Refused: oai.ParseError}, nil
}

// learned returns the options with what the model was seen to refuse.
func (r *responder) learned(model string) responses.Options {
	o := r.options
	o.Drop = append(slices.Clip(o.Drop), r.memory.learned(model)...)
	return o
}

// mend changes o so that the service will not refuse the same thing again.
func (r *responder) mend(o *responses.Options, model string, e *apierror.Error) bool {
	if e.BadSignature {
		changed := !o.StripReasoning
		o.StripReasoning = true
		return changed
	}
	param, ok := refusedMember(e)
	if !ok || slices.Contains(o.Drop, param) {
		return false
	}
	o.Drop = append(slices.Clip(o.Drop), param)
	r.env.Log.Info("Service refuses a parameter, repeating without it", "provider", r.env.Provider, "account", r.env.AccountID, "model", model, "param", param)
	if e.Upstream.Code != "unsupported_value" || param != responses.DropEffort && param != responses.DropVerbosity {
		r.memory.learn(model, param) // one level that it does not know says nothing of the others
	}
	return true
}

// droppableMembers are the members without which an answer is still an answer to what was asked.
var droppableMembers = []string{
	"temperature", "top_p", "presence_penalty", "frequency_penalty", "top_logprobs", "max_output_tokens", "max_tool_calls",
	"reasoning", responses.DropSummary, responses.DropEffort, responses.DropVerbosity, "parallel_tool_calls", "include", "stream_options", "metadata", "user",
	"safety_identifier", "service_tier", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "truncation", "context_management",
}

var indexed = regexp.MustCompile(`\[\d+\]$`)

// refusedMember returns the member that a service does not take, if it can be left out.
func refusedMember(e *apierror.Error) (string, bool) {
	if e.Kind != apierror.InvalidRequest || !refuses(e) {
		return "", false
	}
	param := indexed.ReplaceAllString(e.Param, "")
	return param, slices.Contains(droppableMembers, param)
}

// CountTokens counts the tokens of a prompt. An Unsupported error means that the service has no such endpoint.
func (r *responder) CountTokens(ctx context.Context, req *canon.Request) (int64, error) {
	body, err := responses.CountBody(req, r.learned(req.Model))
	if err != nil {
		return 0, err
	}
	answer, err := r.fetch(ctx, req, "/responses/input_tokens", body)
	if transport.Missing(err) {
		return 0, apierror.New(apierror.Unsupported, "the service does not count tokens")
	}
	if err != nil {
		return 0, err
	}
	n := oai.Number(oai.Member(answer, "input_tokens"))
	if n < 0 {
		return 0, apierror.New(apierror.Unsupported, "the service sent a count that cannot be read")
	}
	return n, nil
}

// Compact has the service shorten a conversation.
func (r *responder) Compact(ctx context.Context, req *canon.Request) (jsontext.Value, error) {
	body, err := responses.CompactBody(req, r.learned(req.Model))
	if err != nil {
		return nil, err
	}
	answer, err := r.fetch(ctx, req, "/responses/compact", body)
	if transport.Missing(err) {
		return nil, apierror.New(apierror.RouteNotFound, "the service cannot shorten a conversation; let the client do it")
	}
	if err == nil && jsontext.Value(answer).Kind() != '{' {
		err = apierror.New(apierror.Upstream5xx, "the service sent a compaction that cannot be read")
	}
	return answer, err
}

func (r *responder) fetch(ctx context.Context, req *canon.Request, path string, body []byte) ([]byte, error) {
	call, err := r.prepare(ctx, req, path)
	if err != nil {
		return nil, call.Fill(err)
	}
	call.Method, call.Body = http.MethodPost, body
	return transport.Fetch(ctx, r.env.HTTP, call, transport.MaxAnswer, oai.ParseError)
}
