package codex

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"patchbay/backend/provider"
	"patchbay/backend/provider/providertest"
)

// format is how the service talks: Responses at addresses of its own, with its own model list. It counts no tokens.
func format() providertest.Format {
	f := providertest.Responses()
	f.Endpoint = func(r *http.Request) providertest.Endpoint {
		switch {
		case r.Method == "POST" && r.URL.Path == "/backend-api/codex/responses":
			return providertest.EndpointAnswer
		case r.Method == "GET" && r.URL.Path == "/backend-api/codex/models":
			return providertest.EndpointModels
		}
		return providertest.EndpointOther
	}
	f.Models = func(ids []string) providertest.Reply {
		var list []any
		for _, id := range ids {
			list = append(list, map[string]any{"slug": id, "visibility": "list"})
		}
		body, err := json.Marshal(map[string]any{"models": append(list, map[string]any{"slug": "hidden", "visibility": "hide"})})
		if err != nil {
			panic(err)
		}
		return providertest.Reply{Header: http.Header{"Content-Type": {"application/json"}}, Pieces: [][]byte{body}}
	}
	f.Count, f.Embeddings = nil, nil
	v := *f.Verbatim
	v.Want = func(model string) string {
		return "{ \"model\" : \"" + model + "\",\n \"stream\":true, \"store\":false,\n \"input\":[ {\"role\":\"user\",\"content\":\"h\\u00e9 <b>\"} ]" +
			`,"instructions":"","include":["reasoning.encrypted_content"],"prompt_cache_key":"` + conversationOf(model) + `" }`
	}
	f.Verbatim = &v
	return f
}

func conversationOf(model string) string { return conversationID(asking(model)) }

func TestConformance(t *testing.T) {
	providertest.Run(t, providertest.Subject{
		Driver: func(idle time.Duration) provider.Driver {
			info := builtIn
			info.Policy.Idle = idle
			return Driver{&info}
		},
		Format: format(),
		Settings: func(base string) map[string]string {
			return map[string]string{provider.SettingBaseURL: base + "/backend-api/codex/"}
		},
		Extra: map[string]string{extraAccount: "workspace-1"},
	})
}
