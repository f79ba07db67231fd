package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"patchbay/backend/internal/testkit"
)

// googleError is an error in Google's shape.
type googleError struct {
	Error struct {
		Code            int
		Message, Status string
	}
}

const geminiBody = `{"contents":[{"role":"user","parts":[{"text":"hello"}]}]}`

// bare sends a request without the key that Bay.Do adds.
func bare(t *testing.T, b *testkit.Bay, method, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, b.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(out)
}

func TestGeminiKeysComeInAllTheirPlaces(t *testing.T) {
	b := testkit.Start(t, testkit.Options{})
	const path = "/v1beta/models/gpt-4.1:generateContent"
	for name, c := range map[string]struct {
		query   string
		headers []string
	}{
		"x-goog-api-key": {"", []string{"X-Goog-Api-Key", b.Key}},
		"query":          {"?key=" + b.Key, nil},
		"bearer":         {"", []string{"Authorization", "Bearer " + b.Key}},
		"two that agree": {"", []string{"Authorization", "Bearer " + b.Key, "X-Goog-Api-Key", b.Key}},
	} {
		if resp, body := bare(t, b, http.MethodPost, path+c.query, geminiBody, c.headers...); resp.StatusCode != 200 || !strings.Contains(body, `"finishReason":"STOP"`) {
			t.Errorf("%s: %s %s", name, resp.Status, body)
		}
	}
	resp, body := bare(t, b, http.MethodPost, path+"?key=pb-canary-key", geminiBody)
	var e googleError
	if err := json.Unmarshal([]byte(body), &e); err != nil || resp.StatusCode != 401 || e.Error.Status != "UNAUTHENTICATED" {
		t.Errorf("%s %s", resp.Status, body)
	}
	for _, text := range []string{body, b.Log.String()} {
		if strings.Contains(text, "pb-canary-key") || strings.Contains(text, b.Key) {
			t.Errorf("a key shows: %s", text)
		}
	}
}

func TestGeminiStreamsAreFramedExactly(t *testing.T) {
	b := testkit.Start(t, testkit.Options{})
	frame := regexp.MustCompile(`^(data: \{[^\n]*\}\n\n)+$`)
	for _, model := range []string{"gpt-4.1", "claude-sonnet-4-5"} {
		resp, body := b.Do(t, http.MethodPost, "/v1beta/models/"+model+":streamGenerateContent?alt=sse", geminiBody)
		if !frame.MatchString(body) || resp.Header.Get("Content-Type") != "text/event-stream" || strings.Count(body, "finishReason") != 1 {
			t.Errorf("%s: %s %q", model, resp.Header.Get("Content-Type"), body)
		}
		if !strings.Contains(body, `"modelVersion":"`+model+`"`) {
			t.Errorf("%s: the model's name is not the one asked for: %s", model, body)
		}
		resp, body = b.Do(t, http.MethodPost, "/v1beta/models/"+model+":streamGenerateContent", geminiBody)
		var list []map[string]any
		if err := json.Unmarshal([]byte(body), &list); err != nil || len(list) < 2 || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v %s", model, err, body)
		}
		if !strings.Contains(body, "},\r\n{") {
			t.Errorf("%s: the pieces are not set apart: %q", model, body)
		}
	}
}

func TestGeminiPathsInAllSpellings(t *testing.T) {
	b := testkit.Start(t, testkit.Options{})
	for path, body := range map[string]string{
		"/v1beta/models/gpt-4.1:generateContent":                    geminiBody,
		"/v1/models/gpt-4.1:generateContent":                        geminiBody,
		"/v1beta/v1beta/models/gpt-4.1:generateContent":             geminiBody,
		"/openai/v1beta/models/gpt-4.1:generateContent":             geminiBody,
		"/v1beta/models/openai%2Fgpt-4.1:generateContent":           geminiBody,
		"/v1beta/models/openai/gpt-4.1:generateContent":             geminiBody,
		"/v1beta/models/openai:gpt-4.1%3AgenerateContent":           geminiBody,
		"/v1beta/models/%5BOpenAI%5D%20gpt-4.1:generateContent":     geminiBody,
		"/v1beta/models/models/gpt-4.1:generateContent":             geminiBody,
		"/v1beta/publishers/google/models/gpt-4.1:generateContent":  geminiBody,
		"/v1beta/models/gpt-4.1:countTokens":                        geminiBody,
		"/v1beta/models/text-embedding-3-small:embedContent":        `{"content":{"parts":[{"text":"a"}]}}`,
		"/v1beta/models/text-embedding-3-small:batchEmbedContents":  `{"requests":[{"content":{"parts":[{"text":"a"}]}}]}`,
		"/v1beta/openai/chat/completions":                           `{"model":"gpt-4.1","messages":[{"role":"user","content":"x"}]}`,
		"/openai/v1beta/openai/chat/completions":                    `{"model":"gpt-4.1","messages":[{"role":"user","content":"x"}]}`,
		"/anthropic/v1beta/models/gemini-3.8-flash:generateContent": geminiBody,
	} {
		if resp, got := b.Do(t, http.MethodPost, path, body); resp.StatusCode != 200 {
			t.Errorf("%s: %s %s", path, resp.Status, got)
		}
	}
	for _, path := range []string{"/v1beta/openai/models", "/v1beta/openai/models/gpt-4.1"} {
		if resp, got := b.Do(t, http.MethodGet, path, ""); resp.StatusCode != 200 || !strings.Contains(got, `"object":`) {
			t.Errorf("%s: %s %.200s", path, resp.Status, got)
		}
	}
}

func TestGeminiEndpointsThatAreNotServed(t *testing.T) {
	b := testkit.Start(t, testkit.Options{})
	for path, status := range map[string]int{
		"/v1beta/cachedContents": 404, "/v1beta/cachedContents/x": 404, "/v1beta/files": 404, "/v1beta/files/x": 404, "/upload/v1beta/files": 404,
		"/v1beta/interactions": 404, "/v1alpha/models/x:generateContent": 404, "/v1beta/models/imagen-4:predict": 404,
		"/v1beta/models/veo:predictLongRunning": 404, "/v1beta/models/gpt-4.1:GenerateContent": 404, "/v1beta/nothing": 404,
	} {
		resp, body := b.Do(t, http.MethodPost, path, geminiBody)
		var e googleError
		if err := json.Unmarshal([]byte(body), &e); err != nil || resp.StatusCode != status || e.Error.Code != status || e.Error.Status != "NOT_FOUND" || e.Error.Message == "" {
			t.Errorf("%s: %s %s", path, resp.Status, body)
		}
	}
	resp, body := b.Do(t, http.MethodGet, "/v1beta/models/nothing-like-it", "")
	if resp.StatusCode != 404 || !strings.Contains(body, `"NOT_FOUND"`) {
		t.Errorf("%s %s", resp.Status, body)
	}
}

func TestGeminiModelListInPages(t *testing.T) {
	b := testkit.Start(t, testkit.Options{})
	type page struct {
		Models        []struct{ Name string }
		NextPageToken *string
	}
	var names []string
	query := "?pageSize=2"
	for range 100 {
		_, body := b.Do(t, http.MethodGet, "/v1beta/models"+query, "")
		var p page
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			t.Fatalf("%v %s", err, body)
		}
		for _, m := range p.Models {
			names = append(names, m.Name)
		}
		if p.NextPageToken == nil {
			break
		}
		query = "?pageSize=2&pageToken=" + *p.NextPageToken
	}
	_, whole := b.Do(t, http.MethodGet, "/v1beta/models", "")
	var all page
	if err := json.Unmarshal([]byte(whole), &all); err != nil || len(all.Models) != len(names) || len(names) < 4 || all.NextPageToken != nil {
		t.Fatalf("%v: %d and %d models", err, len(all.Models), len(names))
	}
	for i, m := range all.Models {
		if m.Name != names[i] || !strings.HasPrefix(m.Name, "models/") {
			t.Errorf("%d: %s %s", i, m.Name, names[i])
		}
		if resp, body := b.Do(t, http.MethodGet, "/v1beta/"+m.Name, ""); resp.StatusCode != 200 || !strings.Contains(body, `"name":"`+m.Name+`"`) {
			t.Errorf("%s: %s %s", m.Name, resp.Status, body)
		}
	}
}

func TestGeminiBadInputNamesTheField(t *testing.T) {
	b := testkit.Start(t, testkit.Options{})
	for body, says := range map[string]string{
		``: "no body", `{`: "invalid JSON", `[]`: "JSON object", `{}`: "contents", `{"contents":[]}`: "contents", `{"contents":[{"parts":[{"text":5}]}]}`: "contents[0].parts[0].text",
		`{"contents":[{"role":"judge","parts":[{"text":"x"}]}]}`:                                     "contents[0].role",
		`{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"***"}}]}]}`:            "contents[0].parts[0].inlineData.data",
		`{"contents":[{"parts":[{"text":"x"}]}],"generation_config":{"candidate_count":0}}`:          "generationConfig.candidateCount",
		`{"contents":[{"parts":[{"text":"x"}]}],"cachedContent":"cachedContents/abc"}`:               "cachedContent",
		`{"contents":[{"parts":[{"fileData":{"mimeType":"image/png","fileUri":"gs://bucket/x"}}]}]}`: "contents",
	} {
		resp, got := b.Do(t, http.MethodPost, "/v1beta/models/claude-sonnet-4-5:generateContent", body)
		var e googleError
		if err := json.Unmarshal([]byte(got), &e); err != nil || resp.StatusCode != 400 || e.Error.Status != "INVALID_ARGUMENT" || !strings.Contains(got, says) {
			t.Errorf("%s: %s %s", body, resp.Status, got)
		}
	}
}
