package simulator

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
)

// codexFailure is the failure of the scenarios that name one of the service's
// own refusals.
func codexFailure(a arguments) *failure {
	return &failure{kind: failServer, code: a.text("which", "usage_limit_reached"), retryAfter: a.text("seconds", "3")}
}

// codexRefusal is one refusal of the service.
type codexRefusal struct {
	status  int
	typ     string // of the error; "" = server_error
	message string
	detail  bool // written as {"detail":...}
	header  map[string]string
}

// codexRefusals are refusals by the word that stands in `which`. The word is
// the code as well, unless the type is the same.
var codexRefusals = map[string]codexRefusal{
	"usage_limit_reached": {status: 429, typ: "usage_limit_reached", message: "The usage limit has been reached"},
	"usage_limit_no_time": {status: 429, typ: "usage_limit_reached", message: "The usage limit has been reached"},
	"usage_limit_model": {status: 429, typ: "usage_limit_reached", message: "The usage limit has been reached",
		header: map[string]string{"X-Codex-Active-Limit": "codex-bengalfox"}},
	"usage_not_included":   {status: 429, typ: "usage_not_included", message: "To use Codex with your ChatGPT plan, upgrade to Plus."},
	"rate_limit_exceeded":  {status: 429, message: "Rate limit reached for gpt-5.5 on tokens per min (TPM). Please try again in %ss."},
	"insufficient_quota":   {status: 429, typ: "insufficient_quota", message: "You exceeded your current quota."},
	"at_capacity":          {status: 400, message: "Selected model is at capacity. Please try a different model."},
	"server_is_overloaded": {status: 503, message: "Our servers are currently overloaded. Please try again later."},
	"slow_down":            {status: 503, message: "Please slow down."},
	"context_length_exceeded": {status: 400, typ: "invalid_request_error",
		message: "Your input exceeds the context window of this model. Please adjust your input and try again."},
	"invalid_prompt":              {status: 400, typ: "invalid_request_error", message: "Invalid prompt: the prompt was flagged."},
	"cyber_policy":                {status: 400, typ: "invalid_request_error", message: "This request was refused by policy."},
	"previous_response_not_found": {status: 400, typ: "invalid_request_error", message: "Previous response with id 'resp_1' not found."},
	"token_expired":               {status: 401, typ: "invalid_request_error", message: "Provided authentication token is expired. Please try signing in again."},

	"workspace_owner_credits_depleted": {status: 429, typ: "workspace_owner_credits_depleted", message: "The workspace has no credits left."},
	"deactivated_workspace":            {status: 403, detail: true, message: "code"},
	"workspace_forbidden":              {status: 403, detail: true, message: "This workspace does not allow it."},
	"payment":                          {status: 402, detail: true, message: "Payment required."},
	"model_not_in_plan":                {status: 400, detail: true, message: "The 'gpt-6.1-sol' model is not supported when using Codex with a ChatGPT account."},
	"model_not_found":                  {status: 404, detail: true, message: "Model not found gpt-9"},
	"instructions":                     {status: 400, detail: true, message: "Instructions are not valid"},
	"parameter":                        {status: 400, detail: true, message: "Unsupported parameter: parallel_tool_calls"},
	"bad_gateway":                      {status: 502, detail: true, message: "Bad Gateway"},
	"gateway_timeout":                  {status: 504, detail: true, message: "Gateway Timeout"},
	"header_only": {status: 401, message: "-", header: map[string]string{
		"X-Error-Json": base64.StdEncoding.EncodeToString([]byte(`{"error":{"code":"token_revoked","message":"The token was revoked."}}`)),
	}},
	"challenge": {status: 403, message: "<!DOCTYPE html><html><head><title>Just a moment...</title></head><body></body></html>",
		header: map[string]string{"Cf-Mitigated": "challenge", "Content-Type": "text/html"}},
	"blocked_page": {status: 503, message: "<!DOCTYPE html><title>Access denied | chatgpt.com used Cloudflare</title><p>Error 1020</p>"},
}

// codexWords are the refusals that the scenarios of all services have here.
var codexWords = map[string]string{
	failQuota: "usage_limit_reached", failRate: "rate_limit_exceeded", failOverload: "server_is_overloaded", failTooLong: "context_length_exceeded",
	failUnauthorized: "token_expired", failForbidden: "workspace_forbidden", failLocation: "workspace_forbidden",
	failBilling: "payment", failTimeout: "gateway_timeout",
}

// codexRefusalOf finds what a failure is here.
func codexRefusalOf(f *failure) (string, codexRefusal, bool) {
	which := f.code
	if f.kind != failServer {
		which = codexWords[f.kind]
	}
	r, ok := codexRefusals[which]
	return which, r, ok
}

// refuse writes an error in the service's words.
func (d *codex) refuse(f *failure) (int, http.Header, any) {
	which, r, ok := codexRefusalOf(f)
	if f.kind == failNotFound {
		return http.StatusNotFound, nil, obj("detail", "Model not found "+f.model)
	}
	if !ok {
		return d.responses.refuse(f)
	}
	head := http.Header{}
	for name, value := range r.header {
		head.Set(name, value)
	}
	switch {
	case strings.HasPrefix(r.message, "<"):
		return r.status, head, rawText(r.message)
	case r.message == "-":
		return r.status, head, rawText("")
	case r.message == "code":
		return r.status, head, obj("detail", obj("code", which))
	case r.detail:
		return r.status, head, obj("detail", r.message)
	}
	return r.status, head, obj("error", d.errorObject(f, which, r))
}

// rawText is a body that is no JSON.
type rawText string

func (d *codex) errorObject(f *failure, which string, r codexRefusal) ordered {
	typ, code := r.typ, any(which)
	if typ == "" {
		typ = "server_error"
	}
	if typ == which || strings.HasPrefix(which, "usage_limit") {
		code = nil
	}
	message := r.message
	if strings.Contains(message, "%s") {
		message = fmt.Sprintf(message, f.retryAfter)
	}
	if which == "rate_limit_exceeded" && f.retryAfter == "" {
		message = "Rate limit reached."
	}
	out := obj("type", typ, "code", code, "message", message, "param", nil)
	if which == "usage_limit_reached" || which == "usage_limit_model" {
		n := 3
		_, _ = fmt.Sscan(f.retryAfter, &n) // what is no number leaves it
		out = out.with("plan_type", "plus").with("resets_at", d.s.opts.Now().Unix()+int64(n)).with("resets_in_seconds", n)
	}
	return out
}

// errorFrames writes a failure into a stream.
func (d *codex) errorFrames(f *failure, t *turn, r *reply, sent int) []frame {
	which, refusal, ok := codexRefusalOf(f)
	if !ok || f.bare {
		return d.responses.errorFrames(f, t, r, sent)
	}
	return []frame{jsonFrame("response.failed", obj("type", "response.failed", "sequence_number", sent,
		"response", obj("id", r.id, "object", "response", "status", "failed", "model", r.model, "output", []any{}, "error", d.errorObject(f, which, refusal))))}
}
