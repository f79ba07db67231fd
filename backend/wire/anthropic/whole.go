package anthropic

import (
	"bytes"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// messageJSON is a whole answer.
type messageJSON struct {
	ID           string                    `json:"id"`
	Type         string                    `json:"type"`
	Role         string                    `json:"role"`
	Model        string                    `json:"model"`
	Content      jsontext.Value            `json:"content"`
	StopReason   string                    `json:"stop_reason"`
	StopSequence string                    `json:"stop_sequence"`
	Usage        jsontext.Value            `json:"usage"`
	Error        jsontext.Value            `json:"error"`
	Ext          map[string]jsontext.Value `json:",embed"`
}

// ReadWhole reads an answer in one piece and yields the events that a stream would have had.
func (x *Exchange) ReadWhole(body []byte) canon.Stream {
	resp, err := x.response(body)
	if err != nil {
		return func(yield func(canon.Event, error) bool) { yield(canon.Event{}, err) }
	}
	if x.verbatim {
		resp.Whole = body
	}
	return x.shape(resp.Events())
}

func (x *Exchange) response(body []byte) (*canon.Response, error) {
	if looksHTML(nil, body) {
		return nil, ParseError(502, nil, body)
	}
	var m messageJSON
	if err := json.Unmarshal(bytes.TrimSpace(body), &m, wire.Lenient); err != nil {
		return nil, &apierror.Error{Kind: apierror.Upstream5xx, Msg: "the service's answer cannot be read", Err: err}
	}
	if m.Type == "error" || notNull(m.Error) != nil {
		return nil, ParseError(200, nil, body)
	}
	if m.Content.Kind() != '[' {
		return nil, apierror.New(apierror.Upstream5xx, "the service's answer holds no message")
	}
	counts := newCounter()
	resp := &canon.Response{ID: m.ID, Model: m.Model, Dropped: x.Dropped}
	if counts.add(m.Usage) {
		resp.Usage = counts.usage()
	}
	calls := x.wholeParts(resp, m.Content)
	resp.Finish = canon.Finish{
		Reason: settle(readReason(m.StopReason), calls), StopSequence: m.StopSequence, Raw: m.StopReason,
		Detail: explanation(m.Ext["stop_details"]),
	}
	if x.own {
		resp.Ext = m.Ext
		if len(counts.ext) > 0 {
			resp.Ext = withUsage(resp.Ext, counts.ext)
		}
	}
	return resp, nil
}

// wholeParts reads the blocks of an answer and reports whether a tool is called. A call that was cut off by the limit of
// tokens has no input that could be used; it is dropped by who renders the answer.
func (x *Exchange) wholeParts(resp *canon.Response, content jsontext.Value) (calls bool) {
	r := reader{answer: true, family: x.family}
	_ = elements(content, func(_ int, e jsontext.Value) error { // the function below never fails
		p, err := r.block(e, "content")
		if err != nil {
			p = serverPart(e)
		}
		if p.Type == canon.PartToolCall {
			calls = true
			if ref, ok := x.tools[p.Name]; ok {
				p.Name, p.Space, p.Custom = ref.name, ref.space, ref.custom
			}
			if p.Custom {
				p.Text, p.Args, p.BadArgs = customInput(p.ArgsText()), nil, false
			}
		}
		resp.Parts = append(resp.Parts, p)
		return nil
	})
	return calls
}
