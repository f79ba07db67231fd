package gemini

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

func errorBody(code, message, status, details string) string {
	if details != "" {
		details = `,"details":[` + details + `]`
	}
	return `{"error":{"code":` + code + `,"message":"` + message + `","status":"` + status + `"` + details + `}}`
}

const (
	perDay    = `{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]},`
	perMinute = `{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerMinutePerProject"}]},`
	retry37   = `{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"37s"}`
)

func TestUpstreamErrorsAreUnderstood(t *testing.T) {
	reason := func(r string) string { return `{"@type":"x/google.rpc.ErrorInfo","reason":"` + r + `"}` }
	date := http.Header{"Date": {"Sun, 22 Nov 2026 20:00:00 GMT"}} // noon in California
	for name, c := range map[string]struct {
		status int
		header http.Header
		body   string
		want   apierror.Error
	}{
		"a bad key":               {400, nil, errorBody("400", "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT", reason("API_KEY_INVALID")), apierror.Error{Kind: apierror.AuthExpired}},
		"a bad key, in words":     {400, nil, errorBody("400", "API key expired", "INVALID_ARGUMENT", ""), apierror.Error{Kind: apierror.AuthExpired}},
		"no login":                {401, nil, errorBody("401", "m", "UNAUTHENTICATED", ""), apierror.Error{Kind: apierror.AuthExpired}},
		"a blocked project":       {403, nil, errorBody("403", "m", "PERMISSION_DENIED", ""), apierror.Error{Kind: apierror.AccountBlocked}},
		"the wrong place":         {400, nil, errorBody("400", "User location is not supported for the API use.", "FAILED_PRECONDITION", ""), apierror.Error{Kind: apierror.PolicyRefused}},
		"the wrong place, 403":    {403, nil, errorBody("403", "not available in your country", "PERMISSION_DENIED", ""), apierror.Error{Kind: apierror.PolicyRefused}},
		"no billing":              {400, nil, errorBody("400", "Please enable billing on project", "FAILED_PRECONDITION", ""), apierror.Error{Kind: apierror.NoCredit}},
		"payment":                 {402, nil, errorBody("402", "m", "", ""), apierror.Error{Kind: apierror.NoCredit}},
		"a long prompt":           {400, nil, errorBody("400", "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).", "INVALID_ARGUMENT", ""), apierror.Error{Kind: apierror.ContextTooLong, PromptTokens: 2000000, MaxTokens: 1048576}},
		"a long prompt, in words": {400, nil, errorBody("400", "The prompt is too long", "INVALID_ARGUMENT", ""), apierror.Error{Kind: apierror.ContextTooLong}},
		"a large body":            {413, nil, "", apierror.Error{Kind: apierror.BodyTooLarge}},
		"a bad signature":         {400, nil, errorBody("400", "Corrupted thought signature.", "INVALID_ARGUMENT", ""), apierror.Error{Kind: apierror.InvalidRequest, BadSignature: true}},
		"a missing signature":     {400, nil, errorBody("400", "Function call is missing a thought_signature in functionCall parts.", "INVALID_ARGUMENT", ""), apierror.Error{Kind: apierror.InvalidRequest, BadSignature: true}},
		"a bad request":           {400, nil, errorBody("400", "Unknown name", "INVALID_ARGUMENT", ""), apierror.Error{Kind: apierror.InvalidRequest}},
		"no such model":           {404, nil, errorBody("404", "m", "NOT_FOUND", ""), apierror.Error{Kind: apierror.ModelNotFound, Param: "model"}},
		"slow down":               {429, nil, errorBody("429", "m", "RESOURCE_EXHAUSTED", retry37), apierror.Error{Kind: apierror.RateLimited, RetryAfter: 37 * time.Second}},
		"the whole project":       {429, nil, errorBody("429", "m", "RESOURCE_EXHAUSTED", perMinute+retry37), apierror.Error{Kind: apierror.RateLimited, RetryAfter: 37 * time.Second, Scope: "*"}},
		"slow down, in words":     {429, nil, errorBody("429", "Please retry in 12.5s.", "RESOURCE_EXHAUSTED", ""), apierror.Error{Kind: apierror.RateLimited, RetryAfter: 12500 * time.Millisecond}},
		"slow down, by header":    {429, http.Header{"Retry-After": {"7"}}, "", apierror.Error{Kind: apierror.RateLimited, RetryAfter: 7 * time.Second}},
		"in milliseconds":         {429, http.Header{"Retry-After-Ms": {"70"}}, "", apierror.Error{Kind: apierror.RateLimited, RetryAfter: 70 * time.Millisecond}},
		"the day is used up":      {429, date, errorBody("429", "m", "RESOURCE_EXHAUSTED", perDay+retry37), apierror.Error{Kind: apierror.QuotaExhausted, RetryAfter: 12 * time.Hour}},
		"no free tier":            {429, date, errorBody("429", "Quota exceeded, limit: 0", "RESOURCE_EXHAUSTED", ""), apierror.Error{Kind: apierror.QuotaExhausted, RetryAfter: 12 * time.Hour}},
		"a quota of hours":        {429, nil, errorBody("429", "m", "RESOURCE_EXHAUSTED", `{"metadata":{"quotaResetDelay":"2h"}}`), apierror.Error{Kind: apierror.QuotaExhausted, RetryAfter: 2 * time.Hour}},
		"a quota by reason":       {429, nil, errorBody("429", "m", "RESOURCE_EXHAUSTED", reason("QUOTA_EXHAUSTED")), apierror.Error{Kind: apierror.QuotaExhausted}},
		"no capacity":             {429, nil, errorBody("429", "m", "RESOURCE_EXHAUSTED", reason("MODEL_CAPACITY_EXHAUSTED")), apierror.Error{Kind: apierror.ModelBusy}},
		"no credit":               {429, nil, errorBody("429", "Your prepayment credits are depleted.", "RESOURCE_EXHAUSTED", ""), apierror.Error{Kind: apierror.NoCredit}},
		"overloaded":              {503, nil, errorBody("503", "m", "UNAVAILABLE", ""), apierror.Error{Kind: apierror.Overloaded}},
		"no capacity, 503":        {503, nil, errorBody("503", "m", "UNAVAILABLE", reason("MODEL_CAPACITY_EXHAUSTED")), apierror.Error{Kind: apierror.ModelBusy}},
		"too slow":                {504, nil, "", apierror.Error{Kind: apierror.Timeout}},
		"not built":               {501, nil, "", apierror.Error{Kind: apierror.Unsupported}},
		"broken":                  {500, nil, errorBody("500", "m", "INTERNAL", ""), apierror.Error{Kind: apierror.Upstream5xx}},
		"cancelled":               {499, nil, "", apierror.Error{Kind: apierror.Upstream5xx}},
		"inside a stream":         {200, nil, "[" + errorBody("503", "m", "UNAVAILABLE", "") + "]", apierror.Error{Kind: apierror.Overloaded}},
		"inside, by word":         {200, nil, `{"error":{"status":"PERMISSION_DENIED","message":"m"}}`, apierror.Error{Kind: apierror.AccountBlocked}},
		"inside, unknown":         {200, nil, `{"error":"m"}`, apierror.Error{Kind: apierror.Upstream5xx}},
		"JSON in the message":     {429, nil, `{"error":{"code":429,"message":"{\"error\":{\"message\":\"Please retry in 3s\"}}"}}`, apierror.Error{Kind: apierror.RateLimited, RetryAfter: 3 * time.Second}},
	} {
		e := ParseError(c.status, c.header, []byte(c.body))
		got := apierror.Error{Kind: e.Kind, RetryAfter: e.RetryAfter, Scope: e.Scope, BadSignature: e.BadSignature, PromptTokens: e.PromptTokens, MaxTokens: e.MaxTokens, Param: e.Param}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if e.Msg == "" || strings.Contains(e.Msg, `{"error"`) {
			t.Errorf("%s: message %q", name, e.Msg)
		}
	}
}

func TestErrorTextsHoldNoSecretAndNoPage(t *testing.T) {
	e := ParseError(502, http.Header{"Content-Type": {"text/html"}}, []byte("<html>AIzaSyD0123456789abcdef</html>"))
	if e.Msg != "the upstream returned HTML (502)" || strings.Contains(e.Upstream.Body, "AIzaSyD") || e.Upstream.Status != 502 {
		t.Errorf("%+v", e)
	}
	e = ParseError(400, nil, []byte(errorBody("400", "key AIzaSyD0123456789abcdef is bad", "INVALID_ARGUMENT", "")))
	if strings.Contains(e.Msg, "AIzaSyD") || e.Upstream.Code != "INVALID_ARGUMENT" {
		t.Errorf("%+v", e)
	}
	if e = ParseError(500, nil, nil); e.Msg != "the service answered 500 without a reason" {
		t.Error(e.Msg)
	}
	if e = ParseError(500, nil, []byte("plain "+strings.Repeat("x", 9000))); len(e.Msg) > 600 || len(e.Upstream.Body) > 4<<10 {
		t.Errorf("%d %d", len(e.Msg), len(e.Upstream.Body))
	}
}

func TestModelListBothWays(t *testing.T) {
	in := `{"models":[{"name":"models/gemini-2.5-flash","displayName":"Flash","inputTokenLimit":10,"outputTokenLimit":5,"supportedGenerationMethods":["generateContent","countTokens"],"thinking":true},
	 {"name":"models/gemini-3-pro-preview","supportedGenerationMethods":["generateContent"]},{"name":"models/gemini-x","supportedGenerationMethods":["generateContent"],"thinking":false},
	 {"name":"models/gemini-embedding-001","supportedGenerationMethods":["embedContent"]},{"name":"models/imagen-4","supportedGenerationMethods":["predict"]},{"name":""}],"nextPageToken":"t2"}`
	models, next, err := ParseModels([]byte(in))
	if err != nil || next != "t2" || len(models) != 4 {
		t.Fatalf("%v %q %+v", err, next, models)
	}
	flash := models[0]
	if flash.ID != "gemini-2.5-flash" || flash.Context != 10 || flash.MaxOutput != 5 || flash.BudgetMax != 24576 || flash.Thinking != canon.Yes || flash.Name != "Flash" {
		t.Errorf("%+v", flash)
	}
	if models[2].Thinking != canon.No || models[2].Efforts != nil || models[3].Embeddings != canon.Yes {
		t.Errorf("%+v", models[2:])
	}
	if _, _, err := ParseModels([]byte(`[`)); apierror.KindOf(err) != apierror.Upstream5xx {
		t.Error(err)
	}
	list := func(query string) string {
		b, err := Codec{}.AppendModels(nil, httptest.NewRequest(http.MethodGet, "/v1beta/models"+query, nil), models[:3])
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	first := `{"name":"models/gemini-2.5-flash","baseModelId":"gemini-2.5-flash","version":"001","displayName":"Flash","inputTokenLimit":10,"outputTokenLimit":5,"supportedGenerationMethods":["generateContent","streamGenerateContent","countTokens"],"thinking":true}`
	if got := list("?pageSize=1"); got != `{"models":[`+first+`],"nextPageToken":"1"}` {
		t.Error(got)
	}
	if got := list("?pageSize=5&pageToken=2"); strings.Contains(got, "nextPageToken") || !strings.Contains(got, "gemini-x") {
		t.Error(got)
	}
	if got := list(""); strings.Count(got, `"name":"models/`) != 3 {
		t.Error(got)
	}
	if got := list("?pageToken=zz"); !strings.Contains(got, "invalid_request") {
		t.Error(got)
	}
	if got, err := (Codec{}).AppendModel(nil, nil, flash); err != nil || string(got) != first {
		t.Errorf("%s %v", got, err)
	}
	if got, _ := (Codec{}).AppendModel(nil, nil, models[3]); !strings.Contains(string(got), `["embedContent","batchEmbedContents"]`) {
		t.Errorf("%s", got)
	}
}

func TestKnownModels(t *testing.T) {
	for id, want := range map[string]struct {
		thinking canon.Known3
		efforts  int
		max      int64
		output   int64
	}{
		"models/gemini-2.5-pro": {canon.Yes, 0, 32768, 65536}, "gemini-2.5-flash-preview-09-2025": {canon.Yes, 0, 24576, 65536}, "gemini-3-pro-preview": {canon.Yes, 2, 0, 65536},
		"gemini-3.1-pro-preview-customtools": {canon.Yes, 3, 0, 65536}, "gemini-3.8-flash": {canon.Yes, 4, 0, 65536}, "gemini-flash-lite-latest": {canon.Yes, 4, 0, 65536},
		"gemini-9-pro": {canon.Yes, 3, 0, 65536}, "gemini-2.0-flash": {canon.No, 0, 0, 8192}, "gemini-3-pro-image-preview": {0, 0, 0, 0}, "gemini-3.1-flash-image-preview": {canon.Yes, 2, 0, 0},
		"gemini-embedding-001": {canon.No, 0, 0, 0}, "gemma-3": {0, 0, 0, 0},
	} {
		m := KnownModel(id)
		if m.Thinking != want.thinking || len(m.Efforts) != want.efforts || m.BudgetMax != want.max || m.MaxOutput != want.output {
			t.Errorf("%s: %+v", id, m)
		}
	}
}

func TestEmbeddingsInEveryDirection(t *testing.T) {
	one := `{"content":{"parts":[{"text":"a"},{"text":"b"}]},"taskType":"T","outputDimensionality":3,"model":"models/x"}`
	e, err := Codec{}.DecodeEmbed(OpAction, post("/v1beta/models/m:embedContent"), []byte(one))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"ab"}, e.Inputs); d != "" || *e.Dimensions != 3 || e.ModelAsked != "m" {
		t.Errorf("%s %+v", d, e)
	}
	e.Model = "up"
	check := func(e *canon.Embed, want string, wantBatch bool) {
		t.Helper()
		body, batch, err := NewEmbed(e)
		if err != nil || batch != wantBatch {
			t.Errorf("%v %v", batch, err)
		}
		sameJSON(t, want, string(body))
	}
	check(e, strings.Replace(one, "models/x", "models/up", 1), false)
	e.Body = canon.Object{}
	check(e, `{"content":{"parts":[{"text":"ab"}]},"taskType":"T","outputDimensionality":3,"model":"models/up"}`, false)
	many := `{"requests":[{"model":"models/x","content":{"parts":[{"text":"a"}]},"zz":1},{"content":{"parts":[{"text":"b"}]}}]}`
	b, err := Codec{}.DecodeEmbed(OpAction, post("/v1beta/models/m:batchEmbedContents"), []byte(many))
	if err != nil {
		t.Fatal(err)
	}
	b.Model = "up"
	check(b, `{"requests":[{"model":"models/up","content":{"parts":[{"text":"a"}]},"zz":1},{"content":{"parts":[{"text":"b"}]},"model":"models/up"}]}`, true)
	check(&canon.Embed{Format: "openai", Model: "up", Inputs: []string{"a", "b"}}, `{"requests":[{"model":"models/up","content":{"parts":[{"text":"a"}]}},{"model":"models/up","content":{"parts":[{"text":"b"}]}}]}`, true)

	resp := &canon.Embeddings{Vectors: [][]float32{{0.5, -1}}}
	if got, err := (Codec{}).AppendEmbed(nil, e, resp); err != nil || string(got) != `{"embedding":{"values":[0.5,-1]}}` {
		t.Errorf("%s %v", got, err)
	}
	if got, err := (Codec{}).AppendEmbed(nil, b, &canon.Embeddings{Vectors: [][]float32{{1}, {2}}}); err != nil || string(got) != `{"embeddings":[{"values":[1]},{"values":[2]}]}` {
		t.Errorf("%s %v", got, err)
	}
	if _, err := (Codec{}).AppendEmbed(nil, e, &canon.Embeddings{}); err == nil {
		t.Error("no vector was taken for one")
	}
	for in, want := range map[string][][]float32{`{"embedding":{"values":[1,2]},"usageMetadata":{"promptTokenCount":4}}`: {{1, 2}}, `{"embeddings":[{"values":[1]},{"values":[2]}]}`: {{1}, {2}}, `{}`: nil, `x`: nil} {
		got, err := ParseEmbed([]byte(in))
		if (err == nil) != (want != nil) {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if err == nil && cmp.Diff(want, got.Vectors) != "" {
			t.Errorf("%s: %v", in, got)
		}
	}
	for body, param := range map[string]string{`{"content":{"parts":[{"inlineData":{}}]}}`: "content.parts[0]", `{"content":{"parts":[]}}`: "content", `{"content":5}`: "content", `{}`: "content"} {
		if _, err := (Codec{}).DecodeEmbed(OpEmbed, post("/v1beta/models/m:embedContent"), []byte(body)); err == nil || apierror.From(err).Param != param {
			t.Errorf("%s: %v", body, err)
		}
	}
	for body, param := range map[string]string{`{"requests":[]}`: "requests", `{"requests":[{"content":{"parts":[{}]}}]}`: "requests[0].content.parts[0]", `{"requests":5}`: "requests"} {
		if _, err := (Codec{}).DecodeEmbed(OpBatchEmbed, post("/v1beta/models/m:batchEmbedContents"), []byte(body)); err == nil || apierror.From(err).Param != param {
			t.Errorf("%s: %v", body, err)
		}
	}
	for _, bad := range []*canon.Embed{{Tokens: [][]int64{{1}}}, {}} {
		if _, _, err := NewEmbed(bad); apierror.From(err).Param != "input" {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
