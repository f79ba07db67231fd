package gemini

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// NewCount writes a request for countTokens. The upstream counts contents only and refuses tools and settings beside them;
// what a client of this format asked to be counted whole stays whole.
func NewCount(req *canon.Request, o Options) ([]byte, error) {
	if same(req) && len(req.Body.Raw) > 0 && !o.ForceConvert && req.Body.Has("model") {
		x, err := NewExchange(req, o)
		if err != nil {
			return nil, err
		}
		w := writer{}
		w.open('{')
		w.raw("generateContentRequest", x.Body)
		w.close('}')
		return w.b, nil
	}
	o.StripReasoning = true
	x, err := NewExchange(req, o)
	if err != nil {
		return nil, err
	}
	body, err := canon.ParseObject(x.Body)
	if err != nil {
		return nil, apierror.From(err)
	}
	w := writer{}
	w.open('{')
	w.raw("contents", member(body, "contents"))
	w.close('}')
	return w.b, nil
}

// ParseCount reads the answer of countTokens.
func ParseCount(body []byte) (int64, error) {
	var c struct {
		Total    int64          `json:"totalTokens"`
		Response jsontext.Value `json:"response"`
	}
	if err := json.Unmarshal(body, &c, wire.Lenient); err != nil || c.Total <= 0 && c.Response.Kind() != '{' {
		e := apierror.New(apierror.Upstream5xx, "the service sent a token count that cannot be read")
		e.Err = err
		return 0, e
	}
	if c.Total <= 0 {
		return ParseCount(c.Response)
	}
	return c.Total, nil
}
