package anthropic

import (
	"slices"

	"github.com/go-json-experiment/json"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// countMembers are what the count endpoint takes of a request.
var countMembers = []string{
	"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "output_format", "context_management", "mcp_servers",
	"cache_control",
}

// NewCount writes the request that asks an upstream for the number of tokens of req. Its answer is read by ParseCount.
func NewCount(req *canon.Request, o Options) (*Exchange, error) {
	x, err := NewExchange(req, o)
	if err != nil {
		return nil, err
	}
	x.Stream = false
	body, err := canon.ParseObject(x.Body)
	if err != nil {
		return nil, apierror.From(err)
	}
	var edits []canon.Edit
	for _, m := range body.Members {
		if !slices.Contains(countMembers, m.Name) {
			edits = append(edits, canon.Edit{Name: m.Name})
		}
	}
	if len(edits) > 0 {
		x.Body = body.AppendEdited(nil, edits...)
	}
	return x, nil
}

// ParseCount reads the answer of the count endpoint.
func ParseCount(body []byte) (int64, error) {
	var c struct {
		Tokens *int64 `json:"input_tokens"`
	}
	err := json.Unmarshal(body, &c, wire.Lenient)
	if err != nil || c.Tokens == nil {
		return 0, &apierror.Error{Kind: apierror.Upstream5xx, Msg: "the service's token count could not be read", Err: err}
	}
	return *c.Tokens, nil
}
