// Package frontend holds the page: what a person sees in the window and in a browser, and the texts that it shares with the tray.
package frontend

import (
	"embed"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Only the tray's texts are embedded as they are: those of the page are in its bundle.
//
//go:embed src/i18n/*/tray.json
var texts embed.FS

// Languages are the languages that there are texts in; the first one is for everybody else.
var Languages = []string{"en", "zh-CN", "ja"}

// Language chooses one of Languages by what the person prefers, best first: "ja_JP.UTF-8", "zh-Hans-CN" or "en".
func Language(prefer ...string) string {
	for _, p := range prefer {
		p = strings.ToLower(strings.ReplaceAll(p, "_", "-"))
		for _, l := range Languages {
			base, _, _ := strings.Cut(strings.ToLower(l), "-")
			if p == base || strings.HasPrefix(p, base+"-") || strings.HasPrefix(p, base+".") {
				return l
			}
		}
	}
	return Languages[0]
}

// Texts are the sentences of one area in one language.
type Texts struct {
	language string
	forms    map[string]map[string]string // key to plural form to text; a text without forms is "other"
}

// LoadTexts reads the texts of an area, for example "tray", in one of Languages.
func LoadTexts(language, area string) (*Texts, error) {
	b, err := texts.ReadFile("src/i18n/" + language + "/" + area + ".json")
	if err != nil {
		return nil, fmt.Errorf("reading the texts in %s: %w", language, err)
	}
	var raw map[string]jsontext.Value
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil, fmt.Errorf("reading the texts in %s: %w", language, err)
	}
	t := &Texts{language: language, forms: make(map[string]map[string]string, len(raw))}
	for key, v := range raw {
		forms := map[string]string{}
		if v.Kind() == '"' {
			var s string
			if err = json.Unmarshal(v, &s); err == nil {
				forms["other"] = s
			}
		} else {
			err = json.Unmarshal(v, &forms)
		}
		if err != nil || forms["other"] == "" {
			return nil, fmt.Errorf("reading the texts in %s: %s is no text and has no form \"other\"", language, key)
		}
		t.forms[key] = forms
	}
	return t, nil
}

// Keys returns the keys of all texts, in no order.
func (t *Texts) Keys() []string {
	out := make([]string, 0, len(t.forms))
	for k := range t.forms {
		out = append(out, k)
	}
	return out
}

// Say returns the text of a key with its named values filled in, given as name, value, name, value. The value n chooses the
// plural form. A key that is missing is returned as it is: that is better than nothing, and a test finds it.
func (t *Texts) Say(key string, values ...string) string {
	forms, ok := t.forms[key]
	if !ok {
		return key
	}
	text := forms["other"]
	pairs := make([]string, 0, len(values))
	for i := 0; i+1 < len(values); i += 2 {
		pairs = append(pairs, "{"+values[i]+"}", values[i+1])
		if values[i] != "n" {
			continue
		}
		if special, ok := forms[t.plural(values[i+1])]; ok {
			text = special
		}
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// plural is the CLDR plural category of a whole number (unicode.org/cldr, plurals.xml): English tells one from the rest,
// Chinese and Japanese tell nothing apart.
func (t *Texts) plural(n string) string {
	if v, err := strconv.Atoi(n); err == nil && v == 1 && t.language == "en" {
		return "one"
	}
	return "other"
}
