package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"patchbay/backend/internal/testkit"
	"patchbay/backend/simulator"
)

// askEach asks the simulated Gemini API in each client's words and returns the answers by format.
func askEach(t *testing.T, b *testkit.Bay, prompt string, stream bool) map[string]string {
	t.Helper()
	word, method := "false", ":generateContent"
	if stream {
		word, method = "true", ":streamGenerateContent?alt=sse"
	}
	out := map[string]string{}
	for format, c := range map[string][2]string{
		"chat":     {chatPath, `{"model":"gemini-3.7-flash","stream":` + word + `,"messages":[{"role":"user","content":"` + prompt + `"}]}`},
		"messages": {messagesPath, `{"model":"gemini-3.7-flash","max_tokens":900,"stream":` + word + `,"messages":[{"role":"user","content":"` + prompt + `"}]}`},
		"gemini":   {"/v1beta/models/gemini-3.7-flash" + method, `{"contents":[{"parts":[{"text":"` + prompt + `"}]}]}`},
	} {
		resp, body := b.Do(t, http.MethodPost, "/gemini"+c[0], c[1])
		out[format] = resp.Status[:3] + " " + resp.Header.Get("X-Patchbay-Attempts") + " " + body
	}
	return out
}

func TestGeminiWordsOfABadAnswer(t *testing.T) {
	for prompt, want := range map[string]map[string][]string{
		"[[blocked]]":         {"chat": {"200", `"finish_reason":"content_filter"`, "blocked this prompt"}, "messages": {"200", `"stop_reason":"refusal"`, "blocked this prompt"}, "gemini": {"200", `"blockReason"`}},
		"[[length]]":          {"chat": {"200", `"finish_reason":"length"`}, "messages": {"200", `"stop_reason":"max_tokens"`}, "gemini": {"200", `"finishReason":"MAX_TOKENS"`}},
		"[[content_filter]]":  {"chat": {"200", `"finish_reason":"content_filter"`}, "messages": {"200", `"stop_reason":"refusal"`}, "gemini": {"200", `"finishReason":"SAFETY"`}},
		"[[empty]]":           {"chat": {"502 2", "empty answer"}, "messages": {"500 2", "empty answer"}, "gemini": {"500 2", `"INTERNAL"`}},
		"[[malformed_call]]":  {"chat": {"502 2", "MALFORMED_FUNCTION_CALL"}, "messages": {"500 2", "MALFORMED_FUNCTION_CALL"}, "gemini": {"500 2", `"INTERNAL"`}},
		"[[location]]":        {"chat": {"403", "location"}, "messages": {"403", "location"}, "gemini": {"403", `"PERMISSION_DENIED"`}},
		"[[html_200]]":        {"chat": {"502 2"}, "messages": {"500 2"}, "gemini": {"500 2", `"INTERNAL"`}},
		"[[overload_in_200]]": {"chat": {"503 2"}, "messages": {"529 2"}, "gemini": {"503 2", `"UNAVAILABLE"`}},
	} {
		for _, stream := range []bool{false, true} {
			if !stream && strings.HasSuffix(want["chat"][0], " 2") {
				continue // repeats take their time, and are the same for both
			}
			b := testkit.Start(t, testkit.Options{Accounts: map[string][]string{"gemini": {"sk-sim-one"}}})
			for format, got := range askEach(t, b, prompt, stream) {
				if !strings.HasPrefix(got, want[format][0]) {
					t.Errorf("%s, %s, stream %v: %.600s", prompt, format, stream, got)
				}
				for _, piece := range want[format][1:] {
					if !strings.Contains(got, piece) {
						t.Errorf("%s, %s, stream %v: no %s in %.600s", prompt, format, stream, piece, got)
					}
				}
			}
			b.Stop()
		}
	}
}

func TestGeminiEmptyAnswerIsAskedForOnceMore(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Accounts: map[string][]string{"gemini": {"sk-sim-one"}}})
	for _, scenario := range []string{"empty", "malformed_call", "overload"} {
		b.Sim.Script(simulator.Gemini, simulator.Scenario(scenario))
		resp, body := b.Do(t, http.MethodPost, "/v1beta/models/gemini-3.7-flash:streamGenerateContent?alt=sse", geminiBody)
		if resp.StatusCode != 200 || resp.Header.Get("X-Patchbay-Attempts") != "2" || strings.Count(body, `"finishReason":"STOP"`) != 1 {
			t.Errorf("%s: %s after %s attempts: %s", scenario, resp.Status, resp.Header.Get("X-Patchbay-Attempts"), body)
		}
	}
}

func TestGeminiClientOfGeminiGetsTheServicesOwnBytes(t *testing.T) {
	b := testkit.Start(t, testkit.Options{})
	body := `{"generation_config":{"temperature":1.0},  "safetySettings":[], "contents":[{"parts":[{"text":"h\u00e9llo <b>"}]}]}`
	resp, got := b.Do(t, http.MethodPost, "/v1beta/models/gemini%2Fgemini-3.7-flash:streamGenerateContent?alt=sse", body)
	if last := b.Last(t, simulator.Gemini); string(last.Body) != body {
		t.Errorf("the service got %s", last.Body)
	}
	if resp.StatusCode != 200 || !strings.Contains(got, `"modelVersion":"gemini/gemini-3.7-flash"`) || !strings.Contains(got, "promptTokensDetails") {
		t.Errorf("%s %s", resp.Status, got)
	}
}

func TestGeminiNameThatTheCLIInventsIsAnswered(t *testing.T) {
	b := testkit.Start(t, testkit.Options{})
	resp, body := b.Do(t, http.MethodPost, "/gemini/v1beta/models/gemini-3.8-flash:generateContent", geminiBody)
	if model := resp.Header.Get("X-Patchbay-Model"); resp.StatusCode != 200 || !strings.Contains(model, "flash") || !strings.Contains(body, `"modelVersion":"gemini-3.8-flash"`) {
		t.Errorf("%s by %s: %s", resp.Status, resp.Header.Get("X-Patchbay-Model"), body)
	}
	resp, body = b.Do(t, http.MethodPost, "/gemini/v1beta/models/gemini-2.5-por:generateContent", geminiBody)
	if resp.StatusCode != 404 || !strings.Contains(body, `"NOT_FOUND"`) {
		t.Errorf("%s: %s", resp.Status, body)
	}
}

func TestGeminiSignaturesSurviveAChatClient(t *testing.T) {
	b := testkit.Start(t, testkit.Options{})
	const tools = `"tools":[{"type":"function","function":{"name":"Bash","parameters":{"type":"object","properties":{"command":{"type":"string"}}}}}]`
	messages := `{"role":"user","content":"list the files with one tool call"}`
	for range 2 {
		_, body := b.Do(t, http.MethodPost, "/gemini"+chatPath, `{"model":"gemini-3-pro-preview","messages":[`+messages+`],`+tools+`}`)
		var answer struct {
			Choices []struct{ Message json.RawMessage }
		}
		var message struct {
			Calls []struct{ ID string } `json:"tool_calls"`
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil || len(answer.Choices) != 1 {
			t.Fatalf("%v %s", err, body)
		}
		if err := json.Unmarshal(answer.Choices[0].Message, &message); err != nil || len(message.Calls) == 0 {
			break
		}
		messages += "," + string(answer.Choices[0].Message) + `,{"role":"tool","tool_call_id":"` + message.Calls[0].ID + `","content":"a.txt"}`
	}
	last := string(b.Last(t, simulator.Gemini).Body)
	if !strings.Contains(last, "functionResponse") || !strings.Contains(last, "thoughtSignature") || strings.Contains(last, "skip_thought_signature_validator") {
		t.Errorf("the signature is gone: %s", last)
	}
}

func TestGeminiSeesPicturesByAddress(t *testing.T) {
	png := "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
	pictures := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Header.Get("X-Goog-Api-Key") != "" {
			t.Error("a credential went to the pictures")
		}
		w.Header().Set("Content-Type", "image/png")
		_, _ = io.WriteString(w, png)
	}))
	t.Cleanup(pictures.Close)
	host := strings.TrimPrefix(pictures.URL, "http://")
	chat := `{"model":"gemini-2.5-flash","messages":[{"role":"user","content":[{"type":"text","text":"see"},{"type":"image_url","image_url":{"url":"` + pictures.URL + `/a.png?canary"}}]}]}`
	messages := `{"model":"gemini-2.5-flash","max_tokens":90,"messages":[{"role":"user","content":[{"type":"text","text":"see"},{"type":"image","source":{"type":"url","url":"` + pictures.URL + `/a.png?canary"}}]}]}`

	open := testkit.Start(t, testkit.Options{Config: "media:\n  allowed_hosts: [\"" + host + "\"]\n"})
	closed := testkit.Start(t, testkit.Options{})
	for path, body := range map[string]string{chatPath: chat, messagesPath: messages} {
		resp, got := open.Do(t, http.MethodPost, "/gemini"+path, body)
		if last := open.Last(t, simulator.Gemini); resp.StatusCode != 200 || !strings.Contains(string(last.Body), `"inlineData":{"mimeType":"image/png"`) {
			t.Errorf("%s: %s %s\n%s", path, resp.Status, got, last.Body)
		}
		e := fails(t, closed, "/gemini"+path, body, http.StatusBadRequest)
		if !strings.Contains(e.Error.Message, "127.0.0.1") || !strings.Contains(e.Error.Message, "media.allowed_hosts") || strings.Contains(e.Error.Message, "canary") {
			t.Errorf("%s: %s", path, e.Error.Message)
		}
	}
	if strings.Contains(closed.Log.String(), "canary") {
		t.Error("the address is in the log")
	}
}
