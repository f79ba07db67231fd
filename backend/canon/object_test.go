package canon

import (
	"errors"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestObjectEditsKeepTheRest(t *testing.T) {
	in := ` { "model" : "a" , "stream":true,"messages":[ {"x":1.50} ],"n":1e3 }`
	for name, c := range map[string]struct {
		edits []Edit
		want  string
	}{
		"nothing":       {nil, in},
		"replace":       {[]Edit{{"model", jsontext.Value(`"b"`)}}, ` { "model" : "b" , "stream":true,"messages":[ {"x":1.50} ],"n":1e3 }`},
		"drop first":    {[]Edit{{"model", nil}}, ` { "stream":true,"messages":[ {"x":1.50} ],"n":1e3 }`},
		"drop two":      {[]Edit{{"model", nil}, {"stream", nil}}, ` { "messages":[ {"x":1.50} ],"n":1e3 }`},
		"drop middle":   {[]Edit{{"stream", nil}, {"messages", nil}}, ` { "model" : "a","n":1e3 }`},
		"drop last":     {[]Edit{{"n", nil}}, ` { "model" : "a" , "stream":true,"messages":[ {"x":1.50} ] }`},
		"add":           {[]Edit{{"z", jsontext.Value(`{}`)}}, ` { "model" : "a" , "stream":true,"messages":[ {"x":1.50} ],"n":1e3,"z":{} }`},
		"drop unknown":  {[]Edit{{"zz", nil}}, in},
		"drop all, add": {[]Edit{{"model", nil}, {"stream", nil}, {"messages", nil}, {"n", nil}, {"k", jsontext.Value(`1`)}}, ` { "k":1 }`},
	} {
		o, err := ParseObject([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(o.AppendEdited(nil, c.edits...)); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
	o, err := ParseObject([]byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(o.AppendEdited(nil, Edit{"a", jsontext.Value("1")})); got != `{"a":1}` {
		t.Errorf("adding to an empty object: %s", got)
	}
}

func TestParseObjectRefusesWhatIsNoObject(t *testing.T) {
	for _, in := range []string{``, `{`, `{"a"}`, `{"a":1} x`, `{"a":1,}`, `nul`} {
		if _, err := ParseObject([]byte(in)); err == nil {
			t.Errorf("%q was taken", in)
		}
	}
	if _, err := ParseObject([]byte(`[1]`)); !errors.Is(err, ErrNotObject) {
		t.Errorf("an array: %v", err)
	}
	o, err := ParseObject([]byte(`{"a":1,"\u0061":2}`))
	if err != nil || string(o.Get("a")) != "2" {
		t.Errorf("the last of a repeated name counts: %s, %v", o.Get("a"), err)
	}
}
