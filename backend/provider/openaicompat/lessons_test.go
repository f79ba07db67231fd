package openaicompat

import (
	"encoding/json"
	"strings"
	"testing"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider/providertest"
)

// refusalOf is an error answer in a vendor's words.
func refusalOf(msg string) string {
	b, _ := json.Marshal(map[string]any{"error": map[string]any{"message": msg, "type": "invalid_request_error"}})
	return "400 " + string(b)
}

func TestServicesTeachWhatTheyTake(t *testing.T) {
	const history = `{"model":"x","messages":[{"role":"developer","content":"brief"},{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},` +
		`{"role":"assistant","content":null,"reasoning_content":"hm","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":"r"}],` +
		`"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object","properties":{}}}}],"tool_choice":"required",` +
		`"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object","properties":{}}}}}`
	silent := strings.Replace(history, `"reasoning_content":"hm",`, "", 1)
	for words, c := range map[string]struct {
		body, gone, there string
	}{
		"'messages.2' : for 'role:assistant' the following must be satisfied[('messages.2' : property 'reasoning_content' is unsupported)]": {history, "reasoning_content", ""},
		"body.messages.2.assistant.reasoning_content: Extra inputs are not permitted":                                                       {history, "reasoning_content", ""},
		"Missing `reasoning_content` field in the assistant message at message index 2.":                                                    {silent, "", `"reasoning_content":" "`},
		"thinking is enabled but reasoning_content is missing in assistant tool call message at index 2":                                    {silent, "", `"reasoning_content":" "`},
		"Failed to deserialize the JSON body into the target type: messages[1]: invalid type: sequence, expected a string":                  {history, `{"text":"a"`, `"content":"a\n\nb"`},
		"This response_format type is unavailable now":                                                                                      {history, `"json_schema":`, `"response_format":{"type":"json_object"}`},
		"tool_choice only supports 'auto' and 'none' in thinking mode":                                                                      {history, `"required"`, `"tool_choice":"auto"`},
		"tools.0.function.strict: Extra inputs are not permitted":                                                                           {history, `"strict"`, ""},
		"invalid temperature: only 1 is allowed for this model":                                                                             {strings.Replace(history, `"tools":`, `"temperature":0.3,"tools":`, 1), "temperature", ""},
		"property 'seed' is unsupported":                                                                                                    {strings.Replace(history, `"tools":`, `"seed":3,"tools":`, 1), "seed", ""},
	} {
		f := newFake(t, refusalOf(words), ok)
		u := f.open(nil, "k")
		if _, e := providertest.Follow(t, u.Stream(t.Context(), chat(t, c.body))); e != nil {
			t.Errorf("%s: %v", words, e)
			continue
		}
		sent, _ := json.Marshal(f.bodies[1])
		if c.gone != "" && strings.Contains(string(sent), c.gone) || !strings.Contains(string(sent), c.there) {
			t.Errorf("%s: sent %s", words, sent)
		}
		if len(f.notes) != 1 {
			t.Errorf("%s: remembered %v", words, f.notes)
		}
		providertest.Follow(t, u.Stream(t.Context(), chat(t, c.body)))
		if again, _ := json.Marshal(f.bodies[2]); string(again) != string(sent) || len(f.bodies) != 3 {
			t.Errorf("%s: the next request was sent as %s", words, again)
		}
	}
}

func TestOtherRefusalsTeachNothing(t *testing.T) {
	for _, e := range []*apierror.Error{
		{Kind: apierror.InvalidRequest, Msg: "messages must not be empty"},
		{Kind: apierror.InvalidRequest, Msg: "the developer of this model is unknown to me."},
		{Kind: apierror.RateLimited, Msg: "reasoning_content is missing"},
	} {
		if q := taught(e); e.Kind == apierror.RateLimited && q != nil || len(q) > 2 {
			t.Errorf("%s: %v", e.Msg, q)
		}
	}
	f := newFake(t, refusalOf("messages must not be empty"))
	if _, e := providertest.Follow(t, f.open(nil, "k").Stream(t.Context(), plain())); e == nil || len(f.bodies) != 1 {
		t.Errorf("%v after %d requests", e, len(f.bodies))
	}
	f = newFake(t, refusalOf("property 'reasoning_content' is unsupported")) // it has none: nothing to change, no second request
	u := f.open(map[string]string{"quirks": "reasoning_content=never"}, "k")
	if _, e := providertest.Follow(t, u.Stream(t.Context(), plain())); e == nil || len(f.bodies) != 1 {
		t.Errorf("%v after %d requests", e, len(f.bodies))
	}
}

func TestClosedMessagesHoldNothingUnknown(t *testing.T) {
	const body = `{"model":"x","messages":[{"role":"user","name":"ann","content":[{"type":"text","text":"a","odd":1}],"mood":"good"},` +
		`{"role":"assistant","content":"b","annotations":[],"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"google":1}}]},` +
		`{"role":"tool","tool_call_id":"c1","content":"r","weight":1}]}`
	for quirks, gone := range map[string][]string{
		"closed_messages": {"odd", "mood", "annotations", "extra_content", "weight"},
		"no_names":        {`"name":"ann"`},
	} {
		f := newFake(t, ok)
		if _, e := providertest.Follow(t, f.open(map[string]string{"quirks": quirks}, "k").Stream(t.Context(), chat(t, body))); e != nil {
			t.Fatal(e)
		}
		sent, _ := json.Marshal(f.bodies[0])
		for _, g := range gone {
			if strings.Contains(string(sent), g) {
				t.Errorf("%s: %s is in %s", quirks, g, sent)
			}
		}
		for _, kept := range []string{`"text":"a"`, `"c1"`, `"r"`} {
			if !strings.Contains(string(sent), kept) && !strings.Contains(string(sent), strings.Replace(kept, "text", "content", 1)) {
				t.Errorf("%s: %s is lost in %s", quirks, kept, sent)
			}
		}
	}
}

func TestForcedToolsBecomeAuto(t *testing.T) {
	tools := []canon.Tool{{Kind: canon.ToolFunction, Name: "f"}}
	for mode, want := range map[string]any{canon.ChoiceRequired: "auto", canon.ChoiceNamed: "auto", canon.ChoiceNone: "none", canon.ChoiceAuto: "auto"} {
		f := newFake(t, ok)
		req := plain()
		req.Tools, req.ToolChoice = tools, canon.ToolChoice{Mode: mode, Names: []string{"f"}}
		if _, e := providertest.Follow(t, f.open(map[string]string{"quirks": "no_forced_tools"}, "k").Stream(t.Context(), req)); e != nil {
			t.Fatal(e)
		}
		if got := f.bodies[0]["tool_choice"]; got != want {
			t.Errorf("%s: %v", mode, got)
		}
	}
	f := newFake(t, ok)
	r, e := providertest.Follow(t, f.open(map[string]string{"quirks": "no_forced_tools"}, "k").Stream(t.Context(),
		chat(t, `{"model":"x","messages":[{"role":"user","content":"a"}],"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required"}`)))
	if e != nil || f.bodies[0]["tool_choice"] != "auto" || len(r.Dropped) != 1 || r.Dropped[0].Field != "tool_choice" {
		t.Errorf("%v %v %v", e, f.bodies[0], r.Dropped)
	}
}
