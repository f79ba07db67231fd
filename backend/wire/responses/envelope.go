package responses

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

// now is the clock; tests stop it.
var now = time.Now

// envelope is the response object around an answer. What does not change between its first and its last appearance is
// written once.
type envelope struct {
	id      string
	created int64
	echo    []byte // the members that repeat the request
}

// Values of a response's status.
const (
	statusRunning    = "in_progress"
	statusCompleted  = "completed"
	statusIncomplete = "incomplete"
	statusFailed     = "failed"
)

func newEnvelope(req *canon.Request, id string, created int64) envelope {
	if !strings.HasPrefix(id, "resp_") {
		id = req.NewID("resp_", 24)
	}
	if created <= 0 {
		created = now().Unix()
	}
	return envelope{id: id, created: created, echo: appendEcho(nil, req)}
}

// ending is how a response ended.
type ending struct {
	status     string
	incomplete string // reason of incomplete_details
	err        *apierror.Error
	usage      *canon.Usage
}

// append appends the response object. output holds the items, separated by commas.
func (v *envelope) append(dst []byte, e ending, output []byte) []byte {
	dst = wire.AppendString(append(dst, `{"id":`...), v.id)
	dst = strconv.AppendInt(append(dst, `,"object":"response","created_at":`...), v.created, 10)
	dst = append(dst, `,"completed_at":`...)
	if e.status == statusCompleted {
		dst = strconv.AppendInt(dst, max(now().Unix(), v.created), 10)
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(append(append(dst, `,"status":"`...), e.status...), `","error":`...)
	if e.err != nil {
		dst = wire.AppendString(append(dst, `{"code":`...), failureCode(e.err))
		dst = append(wire.AppendString(append(dst, `,"message":`...), e.err.Msg), '}')
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"incomplete_details":`...)
	if e.incomplete != "" {
		dst = append(append(append(dst, `{"reason":"`...), e.incomplete...), `"}`...)
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(append(append(dst, `,"output":[`...), output...), ']')
	dst = append(dst, v.echo...)
	dst = append(dst, `,"usage":`...)
	if e.usage != nil {
		dst = appendUsage(dst, *e.usage)
	} else {
		dst = append(dst, "null"...)
	}
	return append(dst, '}')
}

// appendUsage appends token counts: the input includes what was cached, the output the thinking.
func appendUsage(dst []byte, u canon.Usage) []byte {
	num := func(name string, n int64) {
		dst = strconv.AppendInt(append(dst, name...), canon.Known(n), 10)
	}
	num(`{"input_tokens":`, u.Input)
	num(`,"input_tokens_details":{"cached_tokens":`, u.CacheRead)
	num(`,"cache_write_tokens":`, u.CacheWrite)
	num(`},"output_tokens":`, u.Output)
	num(`,"output_tokens_details":{"reasoning_tokens":`, u.Reasoning)
	num(`},"total_tokens":`, canon.Known(u.Input)+canon.Known(u.Output))
	return append(dst, '}')
}

// appendEcho appends what a response says of its request, each member with its default where the client sent none.
func appendEcho(dst []byte, req *canon.Request) []byte {
	var instructions jsontext.Value
	if v := req.Body.Get("instructions"); v.Kind() == '"' {
		instructions = v
	}
	dst = appendRaw(dst, `,"instructions":`, instructions, "null")
	dst = appendInt(dst, `,"max_output_tokens":`, req.MaxTokens, "null")
	dst = appendRaw(dst, `,"max_tool_calls":`, integer(req.Ext["max_tool_calls"]), "null")
	dst = wire.AppendString(append(dst, `,"model":`...), req.ModelAsked)
	parallel := req.Parallel == nil || *req.Parallel
	dst = strconv.AppendBool(append(dst, `,"parallel_tool_calls":`...), parallel)
	dst = append(dst, `,"previous_response_id":null,"prompt_cache_key":`...)
	dst = oai.AppendOrNull(dst, req.PromptCacheKey)
	dst = appendReasoning(append(dst, `,"reasoning":`...), req.Reasoning)
	safety := req.Ext["safety_identifier"]
	dst = appendRaw(dst, `,"safety_identifier":`, safety, "null")
	tier := req.ServiceTier
	if tier == "" || tier == "auto" {
		tier = "default"
	}
	dst = wire.AppendString(append(dst, `,"service_tier":`...), tier)
	dst = append(dst, `,"store":false,"background":false`...) // nothing is kept here
	dst = appendFloat(dst, `,"temperature":`, req.Sampling.Temperature, "1")
	dst = appendFloat(dst, `,"top_p":`, req.Sampling.TopP, "1")
	dst = appendFloat(dst, `,"presence_penalty":`, req.Sampling.Presence, "0")
	dst = appendFloat(dst, `,"frequency_penalty":`, req.Sampling.Frequency, "0")
	dst = appendInt(dst, `,"top_logprobs":`, req.Sampling.TopLogprobs, "0")
	dst = appendText(append(dst, `,"text":`...), req)
	dst = appendChoice(append(dst, `,"tool_choice":`...), req)
	dst = appendTools(append(dst, `,"tools":`...), req)
	truncation := "disabled"
	if oai.Text(req.Ext["truncation"]) == "auto" {
		truncation = "auto"
	}
	dst = append(append(append(dst, `,"truncation":"`...), truncation...), `","metadata":`...)
	if len(req.Metadata) > 0 {
		dst = append(dst, oneLine(req.Metadata)...)
	} else {
		dst = append(dst, "{}"...)
	}
	user := req.UserID
	if oai.Text(safety) == user {
		user = ""
	}
	return oai.AppendOrNull(append(dst, `,"user":`...), user)
}

func appendRaw(dst []byte, name string, v jsontext.Value, otherwise string) []byte {
	if len(v) == 0 {
		return append(append(dst, name...), otherwise...)
	}
	return append(append(dst, name...), v...)
}

func appendInt(dst []byte, name string, n *int64, otherwise string) []byte {
	if n == nil {
		return append(append(dst, name...), otherwise...)
	}
	return strconv.AppendInt(append(dst, name...), *n, 10)
}

func appendFloat(dst []byte, name string, f *float64, otherwise string) []byte {
	if f == nil {
		return append(append(dst, name...), otherwise...)
	}
	return append(append(dst, name...), floatText(*f)...)
}

// floatText writes a number that was read from JSON, so it is finite.
func floatText(f float64) []byte {
	v, _ := wire.Marshal(f)
	return v
}

func integer(v jsontext.Value) jsontext.Value {
	if oai.Number(v) < 0 {
		return nil
	}
	return v
}

// oneLine returns raw JSON without line ends: frames must not hold any.
func oneLine(v jsontext.Value) jsontext.Value {
	if bytes.ContainsAny(v, "\r\n") {
		return wire.Compact(v)
	}
	return v
}

func appendReasoning(dst []byte, r canon.Reasoning) []byte {
	effort, summary := r.Effort, r.Summary
	if r.Mode == canon.ReasonOff {
		effort = "none"
	}
	if summary == "none" {
		summary = ""
	}
	dst = oai.AppendOrNull(append(dst, `{"effort":`...), effort)
	return append(oai.AppendOrNull(append(dst, `,"summary":`...), summary), '}')
}

// appendText appends the form of the text. The schema of a JSON answer is null: the Open Responses schema allows nothing
// else there, and the client knows what it sent.
func appendText(dst []byte, req *canon.Request) []byte {
	switch o := &req.Output; o.Kind {
	case canon.OutputJSON:
		dst = append(dst, `{"format":{"type":"json_object"}`...)
	case canon.OutputSchema:
		dst = wire.AppendString(append(dst, `{"format":{"type":"json_schema","name":`...), o.Name)
		dst = oai.AppendOrNull(append(dst, `,"description":`...), o.Description)
		dst = strconv.AppendBool(append(dst, `,"schema":null,"strict":`...), o.Strict != nil && *o.Strict)
		dst = append(dst, '}')
	default:
		dst = append(dst, `{"format":{"type":"text"}`...)
	}
	if req.Verbosity != "" {
		dst = wire.AppendString(append(dst, `,"verbosity":`...), req.Verbosity)
	}
	return append(dst, '}')
}

func appendChoice(dst []byte, req *canon.Request) []byte {
	v := req.Body.Get("tool_choice")
	if oai.IsNull(v) {
		return append(dst, `"auto"`...)
	}
	return append(dst, oneLine(v)...)
}

// appendTools appends the tools as the client sent them; functions have every member that the specification demands.
func appendTools(dst []byte, req *canon.Request) []byte {
	dst = append(dst, '[')
	first := true
	c := oai.WalkArray(req.Body.Get("tools"))
	for c.Next() {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		if oai.Text(oai.Member(c.Value, "type")) != "function" {
			dst = append(dst, oneLine(c.Value)...)
			continue
		}
		o, err := canon.ParseObject(c.Value)
		if err != nil { // Decode has read it
			dst = append(dst, oneLine(c.Value)...)
			continue
		}
		var missing []canon.Edit
		for _, name := range []string{"description", "parameters", "strict"} {
			if !o.Has(name) {
				missing = append(missing, canon.Edit{Name: name, Value: jsontext.Value("null")})
			}
		}
		dst = append(dst, oneLine(o.AppendEdited(nil, missing...))...)
	}
	return append(dst, ']')
}

// failureCode is the code of an error inside a response: those that the SDKs and Codex CLI 0.169.0 know.
func failureCode(e *apierror.Error) string {
	switch e.Row() {
	case apierror.RowInvalid, apierror.RowUnsupported:
		return "invalid_prompt"
	case apierror.RowContext:
		return "context_length_exceeded"
	case apierror.RowRateLimit:
		return "rate_limit_exceeded"
	case apierror.RowQuota, apierror.RowBilling:
		return "insufficient_quota"
	default:
		return "server_error"
	}
}

// result is how an answer's finish is told.
type result struct{ status, incomplete string }

var results = map[canon.FinishReason]result{
	canon.FinishStop: {statusCompleted, ""}, canon.FinishStopSequence: {statusCompleted, ""}, canon.FinishTools: {statusCompleted, ""},
	canon.FinishPause: {statusCompleted, ""}, canon.FinishLength: {statusIncomplete, "max_output_tokens"},
	canon.FinishContext: {statusIncomplete, "max_output_tokens"}, canon.FinishFilter: {statusIncomplete, "content_filter"},
}

func resultOf(f canon.Finish) result {
	if r, ok := results[f.Reason]; ok {
		return r
	}
	return result{status: statusCompleted}
}
